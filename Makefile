# One target per stage, on real files: `make -j2 evaluate visualize RECIPE=full` runs both at once, and a second `make`
# does nothing. A stage that was killed left a manifest that does not say "ok"; it is run again, and goes on.

TASK   ?= gridworld
RECIPE ?= demo
SWEEP  ?= tiny
EXPLORE ?= digits
WORKERS ?= 1
RUNS   ?= runs
PYTHON ?= $(shell command -v python3.11 || echo python3)
# On Linux some indexes offer torch with several GB of CUDA packages only; TORCH_INDEX=URL names an index to take it from.
TORCH_INDEX ?=

VENV      := .venv
BIN       := $(VENV)/bin
PIP       := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
INSTALLED := $(VENV)/.installed
PEER      := .venv-bench
PEER_PIP  := $(PEER)/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
RLIABLE   := .venv-rliable
MLFLOW    := .venv-mlflow
RUN       := $(RUNS)/$(TASK)/$(RECIPE)
EXPLORED  := $(RUNS)/diffusion/$(EXPLORE)/explore
YAML      := runs/recipes/$(TASK)/$(RECIPE).yaml
STAGE      = $(BIN)/baton $(1) $(TASK) --recipe $(RECIPE) --runs-dir $(RUNS)

# Prerequisite of a stage's output while its manifest does not say that the stage finished.
unless_ok = $(if $(shell grep -sE '"status": ?"ok"' $(RUN)/$(1)/manifest.json),,unfinished)

# What `make gate` checks, and how it asks the model of one gate ($* is TASK/NAME).
GATES     ?= $(patsubst runs/gates/%.yaml,%,$(wildcard runs/gates/*/*.yaml))
GATE_INFER = $(BIN)/baton infer $(*D) --model runs/pretrained/$*.inference_v1 --input runs/gates/$*.examples.jsonl \
	$(addprefix --image-root ,$(wildcard runs/examples/$(*D))) --out $(RUNS)/$*/gate --force --json >/dev/null

# With SERVED=yes predictions are asked of a server of the model, which is started for that and ended.
SERVER     := $(RUN)/server.txt
URL         = "$$(grep -so 'http:[^ ]*' $(SERVER))"
IS_READY    = $(BIN)/python -c 'import httpx, sys; httpx.get(sys.argv[1] + "/ready").raise_for_status()' $(URL) 2>/dev/null
ASK_SERVER  = rm -f $(SERVER); $(call STAGE,serve) --port 0 >$(SERVER) & server=$$!; trap 'kill $$server; wait $$server' EXIT; \
	until $(IS_READY); do kill -0 $$server || exit 2; sleep 0.2; done; $(call STAGE,infer) --server $(URL)

EXAMPLES    := $(RUN)/examples/examples.jsonl
CHECKPOINT  := $(RUN)/train/selected.checkpoint_v1
MODEL       := $(RUN)/export/model.inference_v1
PREDICTIONS := $(RUN)/infer/predictions.jsonl
METRICS     := $(RUN)/evaluate/metrics.jsonl
REPORT      := $(RUN)/visualize/report.html

.PHONY: help install demo examples train export infer evaluate visualize pretrained follow serve explore compare sweep gate gate-update
.PHONY: test test-mlflow test-ray check format bench unfinished
# Interrupted work stays: the stages resume it.
.PRECIOUS: $(EXAMPLES) $(CHECKPOINT) $(MODEL) $(PREDICTIONS) $(METRICS) $(REPORT)

help:
	@echo 'make demo                     install, then the main job end to end; says where the report is'
	@echo 'make STAGE RECIPE=full        examples, train, export, infer, evaluate, visualize (and what they need)'
	@echo 'make follow RECIPE=full       watch that training, live or afterwards'
	@echo 'make serve RECIPE=full        that model behind HTTP'
	@echo 'make explore                  what the layers of a pretrained generator know, as a map in the browser'
	@echo 'make compare FILES="A B"      what differs between predictions of several models, and how sure that is'
	@echo 'make sweep SWEEP=tiny         a grid of models and settings, and one table over it'
	@echo 'make gate | gate-update       the pretrained models against their baselines | new baselines of GATES=TASK/NAME'
	@echo 'make test | check | bench     tests | formatting, types, import rules, drift | benchmarks'
	@echo 'Variables: TASK=$(TASK) RECIPE=$(RECIPE) RUNS=$(RUNS) PYTHON=$(PYTHON)'

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'error: Baton needs Python 3.11 or newer; give one with PYTHON=/path/to/python3.11' >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),-$(PIP) --no-deps --retries 1 --timeout 20 --index-url $(TORCH_INDEX) torch)
	$(PIP) -e '.[torch,onnx,web,serve,dev]'
	touch $@

demo: $(INSTALLED)
	@$(MAKE) --no-print-directory -j2 RECIPE=demo SERVED=$(filter localization,$(TASK)) evaluate visualize
	@echo 'report:  $(RUNS)/$(TASK)/demo/visualize/report.html'
	@echo 'metrics: $(RUNS)/$(TASK)/demo/evaluate/metrics.jsonl'
	$(if $(filter diffusion,$(TASK)),@echo 'explore: make explore opens what the layers of a pretrained generator know as a map in the browser')

# After a stage its output is touched: "up to date" leaves an old file, which make would take for a reason to run again.
examples: $(EXAMPLES)
$(EXAMPLES): $(YAML) $(call unless_ok,examples) | $(INSTALLED)
	$(call STAGE,examples)
	@touch $@

train: $(CHECKPOINT)
$(CHECKPOINT): $(YAML) $(call unless_ok,train) | $(INSTALLED)
	$(call STAGE,train)
	@touch $@

export: $(MODEL)
$(MODEL): $(CHECKPOINT) $(call unless_ok,export) | $(INSTALLED)
	$(call STAGE,export)
	@touch $@

infer: $(PREDICTIONS)
$(PREDICTIONS): $(MODEL) $(EXAMPLES) $(call unless_ok,infer) | $(INSTALLED)
	$(if $(SERVED),$(ASK_SERVER),$(call STAGE,infer))
	@touch $@

evaluate: $(METRICS)
$(METRICS): $(PREDICTIONS) $(call unless_ok,evaluate) | $(INSTALLED)
	$(call STAGE,evaluate)
	@touch $@

visualize: $(REPORT)
$(REPORT): $(PREDICTIONS) $(call unless_ok,visualize) | $(INSTALLED)
	$(call STAGE,visualize)
	@touch $@

# Keep a trained model: the file, the recipe and the manifests that made it.
pretrained: $(MODEL)
	mkdir -p runs/pretrained/$(TASK)
	cp $(MODEL) runs/pretrained/$(TASK)/$(RECIPE).inference_v1
	cp $(YAML) runs/pretrained/$(TASK)/$(RECIPE).recipe.yaml
	cp $(RUN)/train/manifest.json runs/pretrained/$(TASK)/$(RECIPE).train.manifest.json
	cp $(RUN)/export/manifest.json runs/pretrained/$(TASK)/$(RECIPE).export.manifest.json

follow: | $(INSTALLED)
	$(call STAGE,follow)

serve: | $(INSTALLED)
	$(call STAGE,serve)

# On a pretrained generator, with no training: what its layers say of images is recorded once.
explore: | $(INSTALLED)
	$(BIN)/baton examples diffusion --recipe $(EXPLORE) --out $(EXPLORED)/examples \
		--set examples.sweep.num_images=0 --set examples.steering.num_images=20
	$(BIN)/baton infer diffusion --recipe $(EXPLORE) --model $(EXPLORE) --set 'infer.activations.layers=[middle, up_1]' \
		--input $(EXPLORED)/examples/examples.jsonl --out $(EXPLORED)/infer
	$(BIN)/baton explore diffusion --model $(EXPLORE) --activations $(EXPLORED)/infer --out $(EXPLORED)

# FILES are predictions, each FILE or LABEL=FILE.
compare: | $(INSTALLED)
	$(BIN)/baton compare $(TASK) $(FILES) --runs-dir $(RUNS)

# It says itself what is up to date, cell by cell.
sweep: | $(INSTALLED)
	$(BIN)/baton sweep $(TASK) --name $(SWEEP) --runs-dir $(RUNS) --workers $(WORKERS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(MAKE) --no-print-directory gate

# Each gate runs/gates/TASK/NAME.yaml is about the model runs/pretrained/TASK/NAME.inference_v1. It is asked anew each
# time, for what changed may be the code. All gates are judged, also after one that fails.
gate: $(INSTALLED)
	@$(if $(GATES),$(MAKE) --no-print-directory --keep-going $(GATES:%=gate/%))

gate-update: $(INSTALLED)
	@$(if $(GATES),$(MAKE) --no-print-directory $(GATES:%=gate-update/%))

$(GATES:%=gate/%): gate/%: runs/gates/%.yaml | $(INSTALLED)
	@$(GATE_INFER)
	@$(BIN)/baton gate $(*D) --gate $< --input $(RUNS)/$*/gate/predictions.jsonl --junit $(RUNS)/$*/gate/junit.xml

$(GATES:%=gate-update/%): gate-update/%: runs/gates/%.yaml | $(INSTALLED)
	@$(GATE_INFER)
	@$(BIN)/baton gate $(*D) --gate $< --input $(RUNS)/$*/gate/predictions.jsonl --update --yes

# On a real Ray cluster of two nodes; the extra takes 300 MB, so that `make test` does without.
test-ray: $(INSTALLED)
	$(PIP) -e '.[torch,onnx,web,serve,dev,ray]'
	$(BIN)/python -m pytest tests/infer/ray_cluster.py tests/serve/engines/ray_cluster.py

# Against a real MLflow server, in an environment of its own: 600 MB, of which serving a model from one needs nothing.
test-mlflow: $(INSTALLED) $(MLFLOW)/.installed
	$(BIN)/python -m pytest tests/registry tests/serve

$(MLFLOW)/.installed:
	test -x $(MLFLOW)/bin/python || $(PYTHON) -m venv $(MLFLOW)
	$(MLFLOW)/bin/python -m pip --disable-pip-version-check install --quiet 'mlflow>=3.1'
	touch $@

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pipeline.docs --check

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# stable-baselines3, against which trainings are measured, stays out of the project's own environment.
$(PEER)/.installed: benchmarks/requirements.txt constraints.txt
	test -x $(PEER)/bin/python || $(PYTHON) -m venv $(PEER)
	$(if $(TORCH_INDEX),-$(PEER_PIP) --no-deps --retries 1 --timeout 20 --index-url $(TORCH_INDEX) torch)
	$(PEER_PIP) -r benchmarks/requirements.txt
	touch $@

# rliable needs an older pandas than ours.
$(RLIABLE)/.installed: benchmarks/requirements-rliable.txt
	test -x $(RLIABLE)/bin/python || $(PYTHON) -m venv $(RLIABLE)
	$(RLIABLE)/bin/python -m pip --disable-pip-version-check install --quiet -r benchmarks/requirements-rliable.txt
	touch $@

bench: $(INSTALLED) $(PEER)/.installed $(RLIABLE)/.installed
	$(BIN)/python -m benchmarks $(addprefix --only ,$(ONLY))
