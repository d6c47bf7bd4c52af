"""EC2 Image Builder of the local cloud: components, recipes, configurations are kept; an image is really built.

It is built from the environment's archive the recipe's component names, by the code `ncap environment build` uses, and
registered as an AMI with the distribution's tags. The component's shell commands are kept and not run: they are for a
machine of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ncap_iac.local.image_making import BrokenBuildError, ImageMaking, Order
from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings

Shape = dict[str, Any]
Request = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of thing Image Builder keeps."""

    operations: str
    """Ending of its operations: `CreateImageRecipe`."""
    member: str
    """Its name in answers; requests name it by `<member>Arn`."""
    path: str
    """In ARNs."""
    has_version: bool
    arn_member: str

    @property
    def table(self) -> str:
        """Where it is kept."""
        return f"imagebuilder-{self.path}"


COMPONENT = Kind("Component", "component", "component", True, "componentBuildVersionArn")
RECIPE = Kind("ImageRecipe", "imageRecipe", "image-recipe", True, "imageRecipeArn")
INFRASTRUCTURE = Kind(
    *("InfrastructureConfiguration", "infrastructureConfiguration", "infrastructure-configuration", False),
    "infrastructureConfigurationArn",
)
DISTRIBUTION = Kind(
    *("DistributionConfiguration", "distributionConfiguration", "distribution-configuration", False),
    "distributionConfigurationArn",
)
IMAGE = Kind("Image", "image", "image", True, "imageBuildVersionArn")
KINDS = (COMPONENT, RECIPE, INFRASTRUCTURE, DISTRIBUTION, IMAGE)

_UNDER_WAY = ("PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING")
_READY = "AVAILABLE"


class ImageBuilderService:
    """Image Builder, as far as one kind of build needs it."""

    name = "imagebuilder"

    def __init__(self, surroundings: Surroundings, making: ImageMaking) -> None:
        self._surroundings = surroundings
        self._store = surroundings.store
        self._making = making
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._operations: dict[str, Callable[[Request], Shape]] = {
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._tags,
        }
        for kind in KINDS:
            self._operations[f"Create{kind.operations}"] = partial(self._create, kind)
            self._operations[f"Get{kind.operations}"] = partial(self._get, kind)
            self._operations[f"Delete{kind.operations}"] = partial(self._delete, kind)
            if not kind.has_version:
                self._operations[f"Update{kind.operations}"] = partial(self._update, kind)

    def start(self) -> None:
        """A build that was under way when the cloud stopped has failed."""
        for arn, image in self._store.items(IMAGE.table):
            if image["state"]["status"] in _UNDER_WAY:
                self._settle(arn, "FAILED", "the local cloud was stopped during the build; create the image again")

    def stop(self) -> None:
        """Wait for builds: an installer cannot be left alone halfway."""
        for thread in self._threads:
            thread.join()

    def permissions(self, call: Call) -> Sequence[Permission]:
        """The action of the call's name on the thing's ARN."""
        named = next((str(value) for key, value in call.parameters.items() if key.lower().endswith("arn")), "*")
        if call.operation.startswith("Create"):
            kind = next(kind for kind in KINDS if call.operation == f"Create{kind.operations}")
            named = self._arn(kind, "*" if kind is IMAGE else str(call.parameters.get("name", "*")))
        return [Permission(f"imagebuilder:{call.operation}", named)]

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        operation = self._operations.get(call.operation)
        if operation is None:
            raise ServiceError(
                "UnsupportedOperation", f"The local cloud's Image Builder does not support {call.operation}."
            )
        with self._lock:
            return {"requestId": call.request_id, **operation(call.parameters)}

    def _arn(self, kind: Kind, name: str, version: str = "") -> str:
        place = self._surroundings
        ending = f"/{version}" if version else ""
        return f"arn:aws:imagebuilder:{place.region}:{place.account_id}:{kind.path}/{name.lower()}{ending}"

    def _now(self) -> str:
        return datetime.fromtimestamp(self._surroundings.clock(), UTC).isoformat(timespec="milliseconds")

    def _create(self, kind: Kind, request: Request) -> Shape:
        if kind is IMAGE:
            return self._create_image(request)
        given = {name: value for name, value in request.items() if name not in ("clientToken", "dryRun")}
        version = str(given.pop("semanticVersion", ""))
        build = f"{version}/1" if kind is COMPONENT else version
        arn = self._arn(kind, str(given["name"]), build)
        if self._store.get(kind.table, arn) is not None:
            raise ServiceError("ResourceAlreadyExistsException", f"{arn} already exists.")
        document = {**given, "arn": arn, "dateCreated": self._now()} | ({"version": version} if version else {})
        if kind is RECIPE:
            for component in given.get("components", ()):
                self._load(COMPONENT, str(component["componentArn"]))
        self._store.put(kind.table, arn, document)
        return {kind.arn_member: arn}

    def _create_image(self, request: Request) -> Shape:
        recipe = self._load(RECIPE, str(request.get("imageRecipeArn", "")))
        infrastructure = self._load(INFRASTRUCTURE, str(request["infrastructureConfigurationArn"]))
        chosen = request.get("distributionConfigurationArn")
        distribution = self._load(DISTRIBUTION, str(chosen)) if chosen else {"distributions": []}
        number = 1
        while self._store.get(IMAGE.table, self._arn(IMAGE, recipe["name"], f"{recipe['version']}/{number}")):
            number += 1
        arn = self._arn(IMAGE, recipe["name"], f"{recipe['version']}/{number}")
        document = {
            "arn": arn,
            "name": recipe["name"],
            "version": f"{recipe['version']}/{number}",
            "state": {"status": "BUILDING"},
            "imageRecipe": recipe,
            "infrastructureConfiguration": infrastructure,
            "imageTestsConfiguration": dict(request.get("imageTestsConfiguration") or {}),
            "enhancedImageMetadataEnabled": bool(request.get("enhancedImageMetadataEnabled", True)),
            "dateCreated": self._now(),
            "outputResources": {"amis": []},
            "tags": dict(request.get("tags") or {}),
        }
        if chosen:
            document["distributionConfiguration"] = distribution
        self._store.put(IMAGE.table, arn, document)
        order = Order(arn, self._values(recipe), tuple(distribution["distributions"]))
        thread = threading.Thread(target=self._build, args=(order,), name="image builder", daemon=True)
        self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()
        return {IMAGE.arn_member: arn}

    @staticmethod
    def _values(recipe: Request) -> dict[str, str]:
        """What the recipe gives its components, by parameter."""
        given = (item for component in recipe.get("components", ()) for item in component.get("parameters", ()))
        return {str(item["name"]): str(item["value"][0]) for item in given}

    def _build(self, order: Order) -> None:
        """Outside the lock: others may look meanwhile."""
        try:
            amis = self._making.make(order)
        except BrokenBuildError as error:
            self._settle(order.image, "FAILED", str(error))
        except Exception as error:  # whatever it is, whoever waits must hear of it
            self._settle(order.image, "FAILED", f"{type(error).__name__}: {error}")
        else:
            self._settle(order.image, _READY, None, amis)

    def _settle(self, arn: str, status: str, reason: str | None, amis: Sequence[Shape] = ()) -> None:
        with self._store.transaction():
            image = self._store.get(IMAGE.table, arn)
            if image is not None:
                image["state"] = {"status": status} | ({"reason": reason} if reason else {})
                image["outputResources"] = {"amis": list(amis)}
                self._store.put(IMAGE.table, arn, image)

    def _load(self, kind: Kind, arn: str) -> Shape:
        document = self._store.get(kind.table, arn)
        if document is None:
            raise ServiceError("ResourceNotFoundException", f"The resource {arn} cannot be found.", status=404)
        return document

    def _get(self, kind: Kind, request: Request) -> Shape:
        return {kind.member: self._load(kind, str(request[kind.arn_member]))}

    def _delete(self, kind: Kind, request: Request) -> Shape:
        arn = str(request[kind.arn_member])
        document = self._load(kind, arn)
        if kind is IMAGE and document["state"]["status"] in _UNDER_WAY:
            raise ServiceError("InvalidRequestException", f"{arn} is {document['state']['status']}.")
        self._store.delete(kind.table, arn)
        return {kind.arn_member: arn}

    def _update(self, kind: Kind, request: Request) -> Shape:
        arn = str(request[kind.arn_member])
        kept = {name: self._load(kind, arn).get(name) for name in ("arn", "name", "dateCreated", "tags")}
        given = {name: value for name, value in request.items() if name not in ("clientToken", "dryRun", "tags")}
        given.pop(kind.arn_member)
        self._store.put(kind.table, arn, {**given, **kept, "dateUpdated": self._now()})
        return {kind.arn_member: arn}

    def _tagged(self, request: Request) -> tuple[Kind, Shape]:
        arn = str(request["resourceArn"])
        kind = next((kind for kind in KINDS if f":{kind.path}/" in arn), IMAGE)
        return kind, self._load(kind, arn)

    def _tag(self, request: Request) -> Shape:
        kind, document = self._tagged(request)
        document["tags"] = {**(document.get("tags") or {}), **request["tags"]}
        self._store.put(kind.table, document["arn"], document)
        return {}

    def _untag(self, request: Request) -> Shape:
        kind, document = self._tagged(request)
        tags = document.get("tags") or {}
        document["tags"] = {key: value for key, value in tags.items() if key not in request["tagKeys"]}
        self._store.put(kind.table, document["arn"], document)
        return {}

    def _tags(self, request: Request) -> Shape:
        _, document = self._tagged(request)
        return {"tags": document.get("tags") or {}}
