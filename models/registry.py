"""Finding what a plan names by `kind`, among the entry points of every installed package."""

from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic import BaseModel

ENTRY_POINT_PREFIX = "cxr_factory"

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def registered_kinds(seam: str) -> list[str]:
    """Kinds registered in the entry-point group `cxr_factory.<seam>`, sorted."""
    return sorted({point.name for point in entry_points(group=f"{ENTRY_POINT_PREFIX}.{seam}")})


def registered_class(seam: str, kind: Any, base: type[ConfigT]) -> type[ConfigT]:
    """The config class a kind registered.

    Raises:
        ValueError: If the kind is unknown, two packages claim it, or it is no `base`.
    """
    points = entry_points(group=f"{ENTRY_POINT_PREFIX}.{seam}", name=str(kind))
    owners = {point.value: point for point in points}
    if not owners:
        known = ", ".join(registered_kinds(seam)) or "none; is cxr-factory installed?"
        raise ValueError(
            f"{seam}: kind must be one of {known}; got {kind!r}; "
            "install the package that brings it or name another"
        )
    if len(owners) > 1:
        raise ValueError(
            f"{seam}: kind {kind!r} is claimed by {' and '.join(sorted(owners))}; uninstall one"
        )
    found = next(iter(owners.values())).load()
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{seam}: kind {kind!r} must register a {base.__name__}; got {found!r}")
    return found


def registered_config(seam: str, settings: Any, base: type[ConfigT]) -> ConfigT:
    """Validate settings with the class their `kind` registered.

    Args:
        seam: The entry-point group without its prefix: "writers", "painters", "objectives"...
        settings: A mapping with `kind`, or an already validated config.
        base: What the registered class must derive from.

    Raises:
        ValueError: If the kind is unknown, or the settings are not its config's.
    """
    if isinstance(settings, base):
        return settings
    if not isinstance(settings, dict) or "kind" not in settings:
        known = ", ".join(registered_kinds(seam))
        raise ValueError(f"{seam}: expected settings with a kind ({known}), got {settings!r}")
    return registered_class(seam, settings["kind"], base).model_validate(settings)


def registered_form(seam: str, base: type[BaseModel]) -> dict[str, Any]:
    """JSON schema of what a seam may be set to, for a form: one alternative per registered kind."""
    classes = {kind: registered_class(seam, kind, base) for kind in registered_kinds(seam)}
    forms = [_self_contained(cls.model_json_schema()) for cls in classes.values()]
    named = [form | {"title": kind} for kind, form in zip(classes, forms, strict=True)]
    return {"type": "object", "oneOf": named}


def _self_contained(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions put where they are referred to, to stand inside another."""
    definitions = schema.get("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, list):
            return [resolve(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolve(definitions[part["$ref"].rpartition("/")[2]])
        return {key: resolve(value) for key, value in part.items() if key != "$defs"}

    resolved: dict[str, Any] = resolve(schema)
    return resolved
