"""One module a stack: values of documents -> templates, with troposphere."""
