# faas-tools. `make help` lists what can be made.

PREFIX ?= $(HOME)/.local
CARGO ?= cargo
TOOLS = faas-trigger faas-invoke faas-chain faas-queue
RELEASE = target/release

.DEFAULT_GOAL := help
.PHONY: help deps build install run test verify fix chaos sanitize bench man completions clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps: ## install what the build needs (Debian and Ubuntu)
	@scripts/deps.sh

build: deps ## build the tools, optimised
	$(CARGO) build --locked --release $(TOOLS:%=-p %)

install: build ## install tools, man pages and completions into PREFIX (~/.local)
	install -d $(PREFIX)/bin $(PREFIX)/share/man/man1 $(PREFIX)/share/bash-completion/completions \
	    $(PREFIX)/share/zsh/site-functions $(PREFIX)/share/fish/vendor_completions.d
	install -m 755 $(TOOLS:%=$(RELEASE)/%) $(PREFIX)/bin
	install -m 644 man/*.1 $(PREFIX)/share/man/man1
	for tool in $(TOOLS); do \
	    install -m 644 completions/$$tool.bash $(PREFIX)/share/bash-completion/completions/$$tool; \
	    install -m 644 completions/_$$tool $(PREFIX)/share/zsh/site-functions/_$$tool; \
	    install -m 644 completions/$$tool.fish $(PREFIX)/share/fish/vendor_completions.d/$$tool.fish; \
	done

run: build ## run an example chain on real data and show its results
	@scripts/run-example.sh "$(CURDIR)/$(RELEASE)"

test: ## set up and run all tests
	@scripts/deps.sh test
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked -p faas-common
	$(CARGO) test --locked -p faas-tests --test style --test conformance
	$(CARGO) test --locked -p faas-tests --test brokers -- --test-threads 4
	$(CARGO) test --locked -p faas-tests --test cli -- --skip flow::
	$(CARGO) test --locked -p faas-tests --test cli -- flow::
	$(CARGO) test --locked -p faas-tests --test message --test sim --test crash --test chaos -- \
	    --nocapture
	@scripts/sanitize.sh

sanitize: ## shared memory under sanitizers (nightly), the slot's protocol under loom
	@scripts/sanitize.sh

verify: ## check format, lints, tests, generated pages, licences; never writes
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features $(TOOLS:%=-p %) -- -D warnings
	$(MAKE) test
	@scripts/deny.sh

fix: man completions ## format, apply lints' fixes, make the generated pages again
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all

chaos: ## faults at random on joins and loops, for SECONDS (600); figures at the end
	@scripts/deps.sh test
	$(CARGO) build --locked --workspace --bins
	FAAS_CHAOS_SECONDS=$(or $(SECONDS),600) $(CARGO) test --locked -p faas-tests --test chaos -- \
	    --nocapture joins_and_loops

bench: build ## measure against bare loops and peers; CASES="hop large" for some
	@scripts/deps.sh bench
	$(CARGO) build --locked --release -p faas-tests --bin bench
	$(RELEASE)/bench $(CASES)

man: ## make the man pages from the flags
	$(CARGO) build --workspace --bins
	for tool in $(TOOLS); do target/debug/$$tool --generate man >man/$$tool.1 || exit; done

completions: ## make the completions for bash, zsh and fish from the flags
	$(CARGO) build --workspace --bins
	for tool in $(TOOLS); do \
	    target/debug/$$tool --generate bash >completions/$$tool.bash && \
	    target/debug/$$tool --generate zsh >completions/_$$tool && \
	    target/debug/$$tool --generate fish >completions/$$tool.fish || exit; \
	done

clean: ## remove what was built
	$(CARGO) clean
