"""A profile's places of data are compared with all analyses of the project, not only those its groups use."""

from __future__ import annotations

import json

from ncap_iac.project import Kind
from ncap_iac.review.collisions import collisions
from tests.compiler.documents import minimal_blueprint


def test_the_bucket_of_any_analysis_of_the_project_is_no_place_of_data() -> None:
    blueprint = minimal_blueprint() | {"PipelineName": "poses"}
    places = [{"Bucket": "lab-archive", "Access": "read"}, {"Bucket": "poses", "Prefix": "lab", "Access": "read"}]
    group = {"AffiliateName": "lab", "UserNames": ["ann"], "Pipelines": ["spikes"], "Storage": places}
    texts = {"b.json": json.dumps(blueprint), "p.json": json.dumps({"UXData": {"Affiliates": [group]}})}
    (problem,) = collisions(texts, {"b.json": Kind.BLUEPRINT, "p.json": Kind.PROFILE})
    assert (problem.id, problem.file) == ("P211", "p.json")
    assert problem.pointer == "/UXData/Affiliates/0/Storage/1/Bucket"
