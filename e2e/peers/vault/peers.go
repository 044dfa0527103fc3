//go:build peers

// Package peers names the command of Vault 1.21.1, whose transit engine keeps the signing keys of the tests, and of its login for
// Kubernetes' service accounts, as a plugin. It is never compiled.
//
// The file flags leaves out the engines, logins and stores that no test uses: all of them take many times as long to build. The go.sum
// covers what is left; go mod tidy would add what is not built.
package peers

import (
	_ "github.com/hashicorp/vault"
	_ "github.com/hashicorp/vault-plugin-auth-kubernetes/cmd/vault-plugin-auth-kubernetes"
)
