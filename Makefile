# p4cats. `make` alone prints what there is.

PYTHON  ?= /usr/bin/python3
VENV    := .venv
BIN     := $(VENV)/bin
JOBS    ?= 2
COUNT   ?= 1000000
# Debian and Ubuntu packages: eBPF (clang, libbpf, bcc and the headers that bcc compiles with), Mininet.
HEADERS := $(shell if test -e /lib/modules/$$(uname -r)/build/include; then :; \
             elif grep -qs '^ID=ubuntu' /etc/os-release; then echo linux-headers-generic; \
             else echo linux-headers-$$(dpkg --print-architecture 2>/dev/null); fi)
APT     := python3-venv python3-bpfcc mininet clang libbpf-dev iproute2 ethtool $(HEADERS)
READY   := $(VENV)/.ready
# Only the tests need it: the reader of captures that the dissector is written for.
TESTAPT := tshark
TESTREADY := $(VENV)/.testready

# Installs the Debian packages that are missing.
define install
	@missing=; for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if test -n "$$missing"; then \
	  if test "$$(id -u)" = 0; then \
	    echo "installing Debian packages:$$missing"; \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      $$missing) >/tmp/p4cats-apt.log 2>&1 || { tail -n 5 /tmp/p4cats-apt.log; exit 1; }; \
	  else \
	    echo "these Debian packages are missing, install them as root:$$missing"; \
	  fi; \
	fi
endef

.DEFAULT_GOAL := help
.PHONY: help deps demo test nightly lint format bench fuzz fuzz-packets herding golden clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

deps: $(READY) ## install what is needed: Debian packages (as root), and .venv/

demo: $(READY) ## the main job: an edge-cloud network, nearest against compute-aware steering
	@mkdir -p build
	@$(BIN)/p4cats demo --json build/demo.json

test: $(READY) $(TESTREADY) ## all tests; those that need network namespaces and eBPF run as root only
	@$(BIN)/pytest -n $(JOBS) -m "not alone"
	@$(BIN)/pytest -m alone

nightly: $(READY) ## model and xdp compared on 120,000 packets through 1,900 generated programs, more through the shipped ones, and on tables
	@P4CATS_FUZZ_PROGRAMS=1600 P4CATS_FUZZ_TABLES=60 $(BIN)/pytest -n $(JOBS) tests/xdp

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@rm -rf build/lint && $(BIN)/pip install -q --no-deps --no-build-isolation --target build/lint .
	@cd build/lint && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p p4cats

format: $(READY) ## let ruff format everything
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

bench: $(READY) ## measure; writes build/bench.json
	@mkdir -p build
	@$(BIN)/python tests/bench/run.py --json build/bench.json

fuzz: $(READY) ## 10,000 mutated programs: each compiles and runs, or is refused with diagnostics
	@$(BIN)/python tests/conformance/program_fuzz.py 10000

herding: $(READY) ## simulate 100 ingress forwarders: the table and figure of docs/herding.md
	@$(BIN)/python tests/deciding/herding.py

fuzz-packets: $(READY) $(TESTREADY) ## COUNT mutated packets (a million) for everything that reads them; as root
	@$(BIN)/python tests/packets/packet_fuzz.py $(COUNT)

golden: $(READY) ## write the golden files of the tests anew: review the difference
	@P4CATS_GOLDEN=write $(BIN)/pytest -q tests/unit tests/conformance tests/trace

clean: ## remove build/ and .venv/, and what a killed run left behind
	@test ! -x $(BIN)/p4cats || $(BIN)/p4cats clean
	@rm -rf build $(VENV) *.egg-info

# Installing twice takes no time: the stamp is newer than what it depends on.
$(READY): pyproject.toml Makefile
	$(call install,$(APT))
	@test -x $(BIN)/python || $(PYTHON) -m venv --system-site-packages $(VENV)
	@echo "installing Python packages into $(VENV)"
	@$(BIN)/pip install -q -e '.[dev]'
	@touch $@

$(TESTREADY): $(READY)
	$(call install,$(TESTAPT))
	@touch $@
