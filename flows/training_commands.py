"""Commands that train a model, and measure one."""

from flows.command_options import DEFAULT_ROOT, AsJson, PlanFile, Root, show


def pretrain(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Train a vision-language model on a release."""
    from flows.own_server import ensure_server
    from flows.plan_files import load_plan
    from flows.pretrain import pretrain as pretrain_flow
    from flows.progress import training_bar
    from flows.summary import training_text
    from flows.training_plans import PretrainPlan

    plan = load_plan(plan_file, PretrainPlan)
    ensure_server()
    with training_bar(root, plan):
        run = pretrain_flow(plan, root)
    show(run.metrics, training_text(run.metrics), as_json)


def finetune(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Train a text-to-image painter on a corpus's training patients, or train it on."""
    from flows.finetune import FinetunePlan, finetune_painter, painter_text
    from flows.own_server import ensure_server
    from flows.plan_files import load_plan
    from flows.progress import finetuning_bars

    plan = load_plan(plan_file, FinetunePlan)
    ensure_server()
    with finetuning_bars(root, plan.name):
        metrics = finetune_painter(plan, root)
    show(metrics, painter_text(metrics), as_json)


def evaluate(plan_file: PlanFile, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """Measure a trained model, with intervals: zero-shot, and what else the plan names."""
    from flows.evaluation import evaluate as evaluate_flow
    from flows.evaluation_summary import evaluation_text
    from flows.own_server import ensure_server
    from flows.plan_files import load_plan
    from flows.progress import spinner
    from flows.training_plans import EvaluatePlan

    plan = load_plan(plan_file, EvaluatePlan)
    ensure_server()
    with spinner(f"evaluate {plan.run}"):
        results = evaluate_flow(plan, root)
    show({"run": plan.run, **results}, evaluation_text(results), as_json)
