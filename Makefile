# The two commands of the README are `make run`, which needs nothing but Go, and `make test`, which installs what else it needs where there is
# apt-get: a C compiler, git, a registry and Redis. Elsewhere it takes those that are in PATH.

GO       ?= go
VERSION  ?= 0.1.0-$(shell git rev-parse --short HEAD 2>/dev/null || echo dev)
PKG      := github.com/holdfast-telemetry/holdfast
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS  := -s -w -X $(PKG)/internal/version.version=$(VERSION) -X $(PKG)/internal/version.commit=$(COMMIT)
TARGETS  := linux/amd64 linux/arm64 linux/arm windows/amd64 windows/arm64 darwin/amd64 darwin/arm64

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ERRCHECK    := github.com/kisielk/errcheck@v1.30.0
INEFFASSIGN := github.com/gordonklaus/ineffassign@v0.2.0

export CGO_ENABLED = 0

.PHONY: run build test cc registry redis unit peers e2e e2e-argocd lint fuzz bench dist manifest image clean

run: ## build and start a node in this folder
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/holdfast
	./bin/holdfast run

# Without -trimpath, unlike what is given to others, so that the linters and the tests share what is compiled.
build: ## build every command into bin/
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test: lint unit e2e ## everything that must hold

cc: # the race detector needs a C compiler
	@command -v cc >/dev/null || { apt-get update -qq && apt-get install -y -qq gcc libc6-dev; }

unit: cc ## fast, hermetic tests of every room, with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 15m ./...
	$(GO) test -run 'TestCheckSurvivesEveryFlippedByte' ./node/catalog # faults on purpose, which the race detector does not survive

peers: ## the real peers of the tests, built once into a cache outside the tree
	$(GO) run ./e2e/peer/build

registry: # the tests of trust run the one that Debian has
	@command -v docker-registry >/dev/null || { apt-get update -qq && apt-get install -y -qq docker-registry; }

redis: # Argo CD's; Debian has the server in redis-tools too, and in redis-server a service that the tests do not want
	@command -v redis-server >/dev/null || command -v redis-check-rdb >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-tools; }
	@command -v git >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends git; }

e2e: build peers registry redis ## the built programs against real peers; one package after the other, for some measure time
	$(GO) test -tags e2e -p 1 -timeout 30m -count 1 -v ./e2e/...

e2e-argocd: build peers redis ## all cases of what Argo CD deletes, of which e2e runs ten
	HOLDFAST_ARGOCD_ALL=1 $(GO) test -tags e2e -timeout 60m -count 1 -v ./e2e/argocd

lint:
	@test -z "$$(gofmt -l cmd deploy guard internal node operator trust e2e bench)" || { gofmt -l cmd deploy guard internal node operator trust e2e bench; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet -tags e2e ./...
	$(GO) run $(STATICCHECK) -tags e2e ./...
	$(GO) run $(ERRCHECK) -tags e2e -exclude .errcheck ./...
	$(GO) run $(INEFFASSIGN) ./...
	cd bench && $(GO) vet ./...
	@for t in windows/amd64 linux/arm; do echo "vet $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) vet ./cmd/holdfast ./node/... ./internal/... || exit 1; done
	@echo "vet darwin/arm64"; GOOS=darwin GOARCH=arm64 $(GO) vet ./cmd/... ./node/... ./internal/... ./operator/... ./trust/... ./guard/...

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; done

bench: build ## figures side by side with the peers; see bench/README.md
	cd bench && $(GO) test -run "^$$" -bench . -benchmem .
	cd bench && $(GO) run ./side -holdfast ../bin/holdfast

dist: ## all targets into dist/
	@for t in $(TARGETS); do \
	  os=$${t%/*}; arch=$${t#*/}; ext=; [ $$os = windows ] && ext=.exe; \
	  echo "dist/holdfast-$$os-$$arch$$ext"; \
	  GOOS=$$os GOARCH=$$arch GOARM=7 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/holdfast-$$os-$$arch$$ext ./cmd/holdfast || exit 1; \
	done

manifest: ## deploy/*.yaml from the chart; the e2e tests fail while they differ
	$(GO) test -tags e2e -count 1 -run TestManifestsAreWhatTheChartRenders ./e2e/operator ./e2e/charts -update

# Images of every command that runs in a cluster, as OCI layouts in dist/image/<command>; PUSH=registry/path also pushes them.
IMAGES := $(notdir $(wildcard cmd/*))
PUSH   ?=

image: ## dist/image/<command>, without a container engine; prints the digests
	@for c in $(IMAGES); do \
	  for arch in amd64 arm64; do \
	    GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/image/bin/$$c-$$arch ./cmd/$$c || exit 1; \
	  done; \
	  $(GO) run ./deploy/image -name $$c -version $(VERSION) -revision "$(COMMIT)" -created $(shell git log -1 --format=%ct 2>/dev/null || echo 0) \
	    -binary linux/amd64=dist/image/bin/$$c-amd64 -binary linux/arm64=dist/image/bin/$$c-arm64 \
	    -output dist/image/$$c $(if $(PUSH),-push $(PUSH)/$$c:$(VERSION)) || exit 1; \
	done

clean:
	rm -rf bin dist
