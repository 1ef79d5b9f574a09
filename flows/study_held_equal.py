"""What the cells of a study share, and what they cannot, in words for its report."""

from collections.abc import Callable

from flows.study_arms import PinnedArms
from flows.study_plans import Algorithm, StudyPlan


def held_equal(plan: StudyPlan, arms: PinnedArms) -> dict[str, str]:
    """What all cells of an algorithm share, whichever their arm; what is not equal says so."""
    named = {"training pairs": _of_arms(arms, lambda num_pairs: f"{num_pairs}")}
    for one in plan.algorithms:
        named |= _of_algorithm(one, arms)
    styles = ", ".join(plan.evaluation.zero_shot.prompt_styles)
    tasks = [f"zero_shot/{one.name}" for one in plan.evaluation.sets]
    tasks += [f"{one.kind}/{one.name}" for one in plan.evaluation.tasks]
    named["seeds"] = (
        f"{', '.join(map(str, plan.seeds))}; of one seed, the image tower's first weights are the "
        "same for all arms"
    )
    if plan.evaluation.sets:
        named["prompts"] = f"styles {styles}; {_terms_in_words(plan)}"
    named["measured on the same images"] = ", ".join(tasks)
    return named


def _of_algorithm(one: Algorithm, arms: PinnedArms) -> dict[str, str]:
    model, training = one.model, one.model.training
    length = f"{training.steps} optimiser steps"
    if training.steps is None:
        length = f"{training.epochs} passes over the arm's own pairs"
    texts = "1 text" if training.texts_per_image == 1 else f"{training.texts_per_image} texts"
    weights = "the last weights"
    if training.average_decay is not None:
        weights = f"weights averaged with decay {training.average_decay:g}"
    settings = model.objective.model_dump(mode="json", exclude={"kind"})
    views = model.augmentation.model_dump(mode="json")
    named = {
        f"{one.name}, objective": f"{model.objective.kind}: {_in_words(settings)}",
        f"{one.name}, training": (
            f"{length} of {training.batch_size} pairs, {texts} an image; AdamW, rate rising to "
            f"{training.learning_rate:g} over {training.warmup:.0%} of them, then half a cosine "
            f"to 0, weight decay {training.weight_decay:g}, gradients of at most "
            f"{training.max_gradient_norm:g}; {weights}; precision {training.precision}"
        ),
        f"{one.name}, towers": (
            f"{model.image_tower.name} at {model.image_tower.image_size_px} px from "
            f"{model.image_tower.pretrained_tag or 'random weights'}, {model.text_tower.name}"
        ),
        f"{one.name}, image views": _in_words(views),
    }
    if (steps := training.steps) is not None:
        shown = steps * training.batch_size
        named[f"{one.name}, passes over the arm's pairs"] = _of_arms(
            arms, lambda num_pairs: f"{shown / num_pairs:.3g}"
        )
    if not model.text_tower.huggingface_model:
        named[f"{one.name}, vocabulary"] = "not equal: each arm's own, learnt from its reports"
    return named


def _terms_in_words(plan: StudyPlan) -> str:
    if plan.evaluation.zero_shot.terms == "canonical":
        return "a finding by its one term"
    return "a finding by its term and those of its synonyms that the arm's text tower knows"


def _of_arms(arms: PinnedArms, figure: Callable[[int], str]) -> str:
    """A figure of every arm's number of pairs; once, if all are the same."""
    figures = {arm.name: figure(arm.num_pairs) for arm in arms.arms}
    if len(set(figures.values())) == 1:
        return next(iter(figures.values()))
    return "not equal: " + ", ".join(f"{name} {found}" for name, found in figures.items())


def _in_words(settings: dict[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())
