"""The command `embed`, found through an entry point."""

from typing import Annotated, Any

import typer

from flows.command_options import DEFAULT_ROOT, AsJson, Root, show


def embed(
    dataset: str,
    root: Root = DEFAULT_ROOT,
    run: Annotated[
        str, typer.Option(help="A pre-trained run; texts can then be searched by too.")
    ] = "",
    encoder: Annotated[
        str, typer.Option(help='Another encoder, as YAML: "{kind: handcrafted}" needs no weights.')
    ] = "",
    release: Annotated[int | None, typer.Option(help="By default the newest.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Embed a release's images, so that the browser finds more like one, or those for a text."""
    from flows.embed import embed_pairs
    from flows.own_server import ensure_server
    from flows.progress import spinner
    from storage.layout import DatasetLayout
    from storage.objects import open_store
    from storage.releases import open_release

    if bool(run) == bool(encoder):
        raise ValueError("expected either --run RUN or --encoder YAML, got both or neither")
    model, config = _named(root, run, encoder)
    config.revision()  # missing weights end here, before a server is started
    open_release(open_store(root), DatasetLayout(dataset), release)
    ensure_server()
    with spinner(f"embed {dataset}"):
        done = embed_pairs(dataset, model, config, root, release)
    said = f"{done['num_images']} images of {done['release']} embedded by {model}"
    show(done, said, as_json)


def _named(root: str, run: str, encoder: str) -> tuple[str, Any]:
    """The encoder, and what its table is called: by the run, or by the kind of encoder."""
    import yaml

    from models.engines import engine_config
    from storage.layout import model_folder
    from storage.objects import open_store

    if run:
        checkpoint = open_store(root).uri(f"{model_folder(run)}/model.safetensors")
        return run, engine_config("encoders", {"kind": "factory", "checkpoint": checkpoint})
    try:
        settings = yaml.safe_load(encoder)
    except yaml.YAMLError as error:
        raise ValueError(
            f"--encoder: expected YAML as {{kind: handcrafted}}, got {encoder!r}"
        ) from error
    config = engine_config("encoders", settings)
    return config.kind.replace("_", "-"), config
