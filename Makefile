# NovaCron's commands. `make help` lists them; `make demo` and `make test` install what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# libvirt is opened when it is needed: the program builds and starts without it.
TAGS := libvirt_dlopen
GO := go
GOTEST := $(GO) test -tags $(TAGS)
TALLY := $(GO) run ./itest/tally
TOOLS := $(CURDIR)/bin/tools
# Modules of their own, for tests that need more of Prometheus than the program.
PEER := tsdb/peer
CUSTOM_PEER := agent/collect/custom/peer
# Without git's consent, as in a checkout of somebody else's, the program does not know its revision.
VCS := $(if $(shell git rev-parse -q --verify HEAD 2>/dev/null),,-buildvcs=false)
# How long each fuzz target runs, the most that a package's tests may take, and the commit that the API is compared with.
FUZZTIME ?= 10s
TIMEOUT ?= 30m
AGAINST ?= $(shell { git rev-parse -q --verify origin/main || git rev-parse -q --verify main || git rev-parse -q --verify HEAD; } 2>/dev/null)

# Tests of these start processes of their own and share no memory with them: the race detector sees nothing there.
PROCESSES := ./itest ./itest/lab ./itest/bench/... ./agent/hypervisor/libvirt ./agent/collect/kvm
# Tests of these run clusters with real elections: one package at a time. Most of their time they wait.
CLUSTERS := ./cluster/consensus ./cluster/gossip ./itest/env
# Tests of these compute much, which the race detector makes take six times as long: they run whole without it, and in short
# with it.
HEAVY := ./tsdb/engine/durable ./agent/collect/azuremonitor ./agent/collect/cloudwatch ./agent/collect/gcpmonitoring
# How many tests of such a package wait at the same time.
WAITING := -p 1 -parallel 3
# All other packages.
MEMORY = $(filter-out $(shell $(GO) list -tags $(TAGS) $(PROCESSES) $(CLUSTERS) $(HEAVY)),$(shell $(GO) list -tags $(TAGS) ./...))

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup:
	@deploy/setup.sh

.PHONY: build
build: ## leave the program in bin/novacron
	@$(GO) build -trimpath $(VCS) -tags $(TAGS) -o bin/novacron .

.PHONY: demo
demo: ## show a cluster with real guests on this machine; DEMO_KEEP=1 leaves it running
	@deploy/demo.sh

# In the first row are tests that mostly wait: processes, then clusters. Beside them, with what these leave of the processors,
# those that compute: HEAVY whole, HEAVY in short under the race detector, MEMORY, and the modules of their own.
.PHONY: test
test: setup ## everything that CI runs: install, check, test
	@$(MAKE) check
	@$(TALLY) -tags $(TAGS) -timeout $(TIMEOUT) $(WAITING) $(PROCESSES) -- -tags $(TAGS) -timeout $(TIMEOUT) -race $(WAITING) $(CLUSTERS) \
		++ -tags $(TAGS) -timeout $(TIMEOUT) $(HEAVY) -- -tags $(TAGS) -timeout $(TIMEOUT) -race -short $(HEAVY) \
		-- -tags $(TAGS) -timeout $(TIMEOUT) -race $(MEMORY) -- -C $(PEER) -timeout $(TIMEOUT) ./... -- -C $(CUSTOM_PEER) -timeout $(TIMEOUT) ./...

.PHONY: test-short
test-short: ## the quick tests, without those that run clusters, for the inner loop
	@$(TALLY) -tags $(TAGS) -timeout 2m -short $(MEMORY) $(HEAVY) $(PROCESSES)

.PHONY: race
race: ## all tests under the race detector
	@$(TALLY) -tags $(TAGS) -timeout $(TIMEOUT) -race ./...

.PHONY: check
check: fmt vet lint proto rules ## formatting, vet, linters, generated code, rules of the repository

.PHONY: fmt
fmt:
	@files=$$(find . -name '*.go' -not -path './.*' | xargs gofmt -l); \
	[ -z "$$files" ] || { printf 'not formatted, run gofmt -w on:\n%s\n' "$$files" >&2; exit 1; }

.PHONY: vet
vet:
	@$(GO) vet -stdmethods=false -tags $(TAGS) ./...
	@CGO_ENABLED=0 $(GO) vet -stdmethods=false ./...
	@$(GO) vet -C $(PEER) -stdmethods=false ./...
	@$(GO) vet -C $(CUSTOM_PEER) ./...

.PHONY: lint
lint:
	@deploy/setup.sh --build --tools
	@$(TOOLS)/golangci-lint run --build-tags $(TAGS) ./...
	@cd $(PEER) && $(TOOLS)/golangci-lint run ./...
	@cd $(CUSTOM_PEER) && $(TOOLS)/golangci-lint run ./...

# The committed Go code must be what the sources make, and the API must stay readable for programs of the last commit.
.PHONY: proto
proto:
	@deploy/setup.sh --tools
	@export PATH=$(TOOLS):$$PATH; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; cd proto; \
	buf lint; \
	buf generate -o "$$tmp"; \
	diff -r <(cd "$$tmp" && find . -name '*.go' | sort | xargs sha256sum) <(find . -name '*.go' | sort | xargs sha256sum) >&2 || \
		{ echo "generated code differs from its sources: run make generate" >&2; exit 1; }; \
	if [ -n "$(AGAINST)" ] && git -C .. archive "$(AGAINST)" proto 2>/dev/null | tar -x -C "$$tmp"; then \
		buf breaking --against "$$tmp/proto"; \
	else echo "no earlier API to compare with"; fi

.PHONY: rules
rules:
	@$(GOTEST) -run '^TestRules' .

.PHONY: generate
generate: ## make the Go code of proto/
	@deploy/setup.sh --tools
	@cd proto && PATH=$(TOOLS):$$PATH buf generate

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | while IFS=: read -r file line name; do \
		echo "fuzz  $${file%/*} $${name#func }"; \
		$(GOTEST) -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) "$${file%/*}" </dev/null || exit 1; \
	done

# The closing line of each engine; all else when it failed. The scripts are those of the newest Prometheus, which takes a
# newer Go than the rest of the project: the same test runs with the older ones in `make test`.
.PHONY: conformance
conformance: ## run Prometheus's own PromQL scripts on the shard, and random questions beside its evaluator
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(GO) test -C $(PEER) -modfile=v316.mod -tags promql_v316 -count=1 -timeout $(TIMEOUT) -run '^(TestConformance|TestFast)$$' -v . >"$$log" 2>&1 || { cat "$$log" >&2; exit 1; }; \
	sed -n 's/^ *\(.*: \)\{0,1\}\(conformance promql .*\)/\2/p' "$$log"

.PHONY: bench
bench: bench-raft bench-vm bench-tsdb bench-collect bench-query ## measure against others on the same work

# Figures go to the screen; everything else does when it failed. The second argument says where go works.
define run_bench
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	NOVACRON_BENCH=1 $(GO) test $(2) -tags $(TAGS) -count=1 -timeout 40m -run '^TestBench' -v $(1) >"$$log" 2>&1 || { cat "$$log" >&2; exit 1; }; \
	sed -n 's/^ *\(.*: \)\{0,1\}\(bench [a-z].*\)/\2/p' "$$log"; \
	grep -q 'bench [a-z]' "$$log" || { cat "$$log" >&2; echo "no figure was measured" >&2; exit 1; }
endef

.PHONY: bench-raft
bench-raft: ## commits per second, against raft and bolt alone
	$(call run_bench,./itest/bench/raft)

.PHONY: bench-vm
bench-vm: ## creating and deleting machines, against virsh
	@deploy/setup.sh --build --lab
	$(call run_bench,./itest/bench/vm)

.PHONY: bench-tsdb
bench-tsdb: ## the metric shard, against Prometheus's tsdb and VictoriaMetrics
	@deploy/setup.sh --build --bench
	$(call run_bench,./bench,-C $(PEER))

.PHONY: bench-collect
bench-collect: ## collecting metrics, against Debian's exporter for libvirt and the fewest calls of the clouds' APIs
	@deploy/setup.sh --build --lab
	$(call run_bench,-p 1 ./itest/bench/collect ./agent/collect/cloudwatch ./agent/collect/azuremonitor ./agent/collect/gcpmonitoring)

.PHONY: bench-query
bench-query: ## questions to 8, 100 and 1,000 shards, against Prometheus
	@deploy/setup.sh --build
	$(call run_bench,./itest/bench/query)

.PHONY: clean
clean: ## remove what was built, but the tools
	@rm -f bin/novacron coverage.out
