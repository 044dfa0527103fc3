// Package certs keeps the certificates of the operator's admission webhook: the authority that signs them, the certificate that every
// replica serves, and the bundle by which the API servers verify it. Nothing outside the cluster is needed.
//
// # What it promises
//
// A [Rotator] runs in the leader only. All that it knows is in two objects: a Secret of the operator's namespace and the webhook
// configuration. After any of its writes it can be stopped, and the next leader goes on from there.
//
//	Secret key   content
//	ca.crt       bundle of authority certificates, PEM, the current one first
//	ca.key       key of the current authority, PEM (PKCS #8)
//	tls.crt      serving certificate, PEM
//	tls.key      its key, PEM (PKCS #8)
//
// Certificates are renewed at two thirds of their life. At every moment, each bundle that the webhook configuration held within the
// last Settle verifies the certificate that is served, also where a replica still serves the one before. So an authority is replaced
// in this order:
//
//  1. The new authority is written to the Secret, in front of the old one, and then published in the webhook configuration.
//  2. When the webhook configuration has carried it for Settle (API servers cache webhook configurations), the serving certificate is
//     issued by it.
//  3. The old authority leaves the bundle when it has expired, or when every certificate it can have issued has.
//
// Where no usable serving certificate is left (first start, all expired, the Secret damaged or deleted, the service renamed) there is
// nothing to overlap with, and the replacement is immediate.
//
// A [Serving] runs in every replica. It hands the present certificate to TLS handshakes and is updated without a restart, by a
// [SecretWatch] or, where certificates are made by someone else, by a [FolderWatch]. A replica that does not lead only reads.
//
// # What it does not do
//
// It changes nothing of the webhook configuration but caBundle, and nothing at all with a FolderWatch: there, whoever makes the
// certificates publishes the bundle. It does not revoke: a stolen key is answered by deleting the Secret, which the leader then makes
// anew. Private keys and the text of
// the Secret never reach a log or an error.
package certs

import "time"

// Keys of the Secret.
const (
	KeyBundle       = "ca.crt"
	KeyAuthorityKey = "ca.key"
	KeyCertificate  = "tls.crt"
	KeyServingKey   = "tls.key"
)

// backdate returns how long before its making a certificate becomes valid: five minutes, for clocks that are behind, but no more than
// a tenth of its life.
func backdate(validity time.Duration) time.Duration {
	return max(0, min(5*time.Minute, validity/10))
}
