"""Members and their keys: edits of profiles, tables of people, handing keys over and taking them."""
