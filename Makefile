# Every target needs only make and Python >= 3.10, and builds what else it needs in an environment of its own.

PYTHON ?= python3

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv-demo/done ## rerank real abstracts through LangChain and LlamaIndex, offline
	.venv-demo/bin/python examples/demo.py

test: .venv-test/done ## run every test; ARGS="-k cache" picks some
	.venv-test/bin/python -m pytest $(ARGS)

lint: .venv-lint/done ## check style and formatting
	.venv-lint/bin/ruff check
	.venv-lint/bin/ruff format --check

type: .venv-lint/done ## check the types
	.venv-lint/bin/mypy

bench: .venv-bench/done ## measure speed and memory against the peers; ARGS="--only warm,store" measures some parts
	.venv-bench/bin/python benchmarks/speed.py $(ARGS)

bench-quality: .venv-bench/done ## measure ranking quality on judged collections
	.venv-bench/bin/python benchmarks/quality.py $(ARGS)

docs: .venv-docs/done ## build the documentation into site/; a broken link fails
	.venv-docs/bin/mkdocs build --strict

outputs: .venv-test/done ## run the examples of README and docs and write down what they print
	.venv-test/bin/python docs/refresh_outputs.py

clean: ## delete the environments and everything built
	rm -rf .venv-* build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis

# One environment a dependency group, made anew when pyproject.toml changes. The stamp comes last, so that an
# interrupted installation does not count; --group needs pip >= 25.1, hence the upgrade.
.venv-%/done: pyproject.toml
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet --editable ".[all]" --group $*
	touch $@

.PHONY: help demo test lint type bench bench-quality docs outputs clean
