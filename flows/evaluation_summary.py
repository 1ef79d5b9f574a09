"""What an evaluation measured, as a few lines of text for a terminal."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from flows.summary import zero_shot_text

Results = Mapping[str, Mapping[str, Any]]  # by name, as `metrics.json` has them


def evaluation_text(results: Mapping[str, Results]) -> str:
    """Everything that `evaluate` measured, in the order of the plan."""
    return "\n".join(TEXTS[kind](of_kind) for kind, of_kind in results.items())


def grounding_text(results: Results) -> str:
    """Grounding per set: macro and per finding, beside a map that sees no image, and chance."""
    lines = []
    for name, result in results.items():
        lines.append(
            f"grounding on {name} ({_images(result)}): pointing game, chance, "
            "gain over a fixed map; IoU; Dice"
        )
        figures = {"macro": result["macro"] or {"reason": "undefined"}, **result["per_finding"]}
        lines += [f"  {finding:<20} {_grounding(one)}" for finding, one in figures.items()]
    return "\n".join(lines)


def _grounding(one: Mapping[str, Any]) -> str:
    if one.get("reason"):
        return str(one["reason"])
    gain = one["pointing_game_gain"]
    low, high = gain["ci95"]
    return (
        f"{one['pointing_game']['value']:.3f}, {one['chance_pointing_game']['value']:.3f}, "
        f"{gain['value']:+.3f} (95 % {low:+.3f} to {high:+.3f}); "
        f"{one['iou']['value']:.3f}; {one['dice']['value']:.3f}"
    )


def retrieval_text(results: Results) -> str:
    """Recall at each depth, both ways, with its interval and chance."""
    lines = []
    for name, result in results.items():
        lines.append(
            f"retrieval on {name} ({result['num_pairs']} pairs, {result['num_texts']} texts):"
        )
        for direction in ("image_to_text", "text_to_image"):
            lines += [
                f"  {direction.replace('_', ' ')}, {depth:<10} {one['value']:.3f}  "
                f"(95 % {one['ci95'][0]:.3f} to {one['ci95'][1]:.3f})  chance {one['chance']:.3f}"
                for depth, one in result[direction].items()
            ]
    return "\n".join(lines)


def few_labels_text(kind: str, results: Results) -> str:
    """Macro AUROC of a classifier at every share of the labels."""
    lines = []
    for name, result in results.items():
        lines.append(f"{kind} on {name} ({result['num_images']} images): macro AUROC")
        lines += [f"  {one['share']:>6.1%} of labels     {_macro(one)}" for one in result["shares"]]
    return "\n".join(lines)


def _macro(one: Mapping[str, Any]) -> str:
    scores = one["per_finding"].values()
    defined = sum(score["auroc"] is not None for score in scores)
    trained = f"{defined} of {len(scores)} findings, {one['num_train_images']} images"
    if one["macro_auroc"] is None:
        return f"undefined; {trained}"
    low, high = one["ci95"]
    return f"{one['macro_auroc']:.3f}  (95 % {low:.3f} to {high:.3f})  {trained}"


class Dense(NamedTuple):
    """How the result of a task on maps is said.

    Attributes:
        heading: Names the measures.
        measures: In that order.
        gain: Over the untrained tower.
    """

    heading: str
    measures: tuple[str, ...]
    gain: str


SEGMENTATION = Dense(
    "Dice, Dice where shown, IoU; gain in Dice over an untrained tower",
    ("dice", "shown_dice", "iou"),
    "dice_gain",
)
DETECTION = Dense(
    "average precision over IoU 0.40 to 0.75, 0.50 to 0.95; gain in the first over an untrained "
    "tower",
    ("ap_40_75", "ap_50_95"),
    "ap_40_75_gain",
)


def dense_text(kind: str, said: Dense, results: Results) -> str:
    """Segmentation or detection at every share of the labels, macro and per finding."""
    lines = []
    for name, result in results.items():
        lines.append(f"{kind} on {name} ({_images(result)}): {said.heading}")
        for one in result["shares"]:
            lines.append(f"  {one['share']:.1%} of labels, {one['num_train_images']} images")
            figures = {"macro": one["macro"], **one["per_finding"]}
            lines += [f"    {finding:<18} {_dense(of, said)}" for finding, of in figures.items()]
    return "\n".join(lines)


def _images(result: Mapping[str, Any]) -> str:
    """How many, and where their masks come from if the result is of masks."""
    origin = f", masks {result['masks'].replace('_', ' ')}" if "masks" in result else ""
    return f"{result['num_images']} images{origin}"


def _dense(figures: Mapping[str, Any], said: Dense) -> str:
    if said.gain not in figures:
        return str(figures.get("reason") or "undefined")
    values = ", ".join(f"{figures[measure]['value']:.3f}" for measure in said.measures)
    low, high = figures[said.gain]["ci95"]
    return f"{values}; {figures[said.gain]['value']:+.3f} (95 % {low:+.3f} to {high:+.3f})"


TEXTS: dict[str, Callable[[Results], str]] = {
    "zero_shot": zero_shot_text,
    "grounding": grounding_text,
    "retrieval": retrieval_text,
    "linear_probe": partial(few_labels_text, "linear probe"),
    "fine_tuning": partial(few_labels_text, "fine-tuning"),
    "segmentation": partial(dense_text, "segmentation", SEGMENTATION),
    "detection": partial(dense_text, "detection", DETECTION),
}
