module github.com/holdfast-telemetry/holdfast/e2e/peers/vault

go 1.26.0

// As Vault has them itself.
replace github.com/99designs/keyring => github.com/Jeffail/keyring v1.2.3

replace github.com/ma314smith/signedxml v1.1.1 => github.com/moov-io/signedxml v1.1.1

// Vault is built with the SDK beside it in its repository. Of the later patches of 1.21, that is not the SDK of any release.
require github.com/hashicorp/vault v1.21.1

require github.com/hashicorp/vault-plugin-auth-kubernetes v0.23.1 // indirect
