package kube

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKeys makes the cluster's authority and what the API server needs of it.
func (c *Cluster) writeKeys() error {
	var err error
	if c.authority, err = newAuthority(); err != nil {
		return err
	}
	server, err := c.authority.server(serviceIP)
	if err != nil {
		return err
	}
	if err := server.write(c.dir, "server.crt", "server.key"); err != nil {
		return err
	}
	tokens, err := newTokenKey()
	if err != nil {
		return err
	}
	if err := tokens.write(c.dir, "sa.pub", "sa.key"); err != nil {
		return err
	}
	if err := os.WriteFile(c.path("ca.crt"), c.authority.pem, 0o600); err != nil {
		return fmt.Errorf("writing the cluster's authority: %w", err)
	}
	return nil
}

// makeClients makes what the administrator reaches the API server with.
func (c *Cluster) makeClients() error {
	var err error
	if c.admin, err = c.UserConfig("admin", "system:masters"); err != nil {
		return err
	}
	if c.kubeconfig, err = c.writeKubeconfig(c.dir, "admin", c.admin); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.admin); err != nil {
		return fmt.Errorf("making the administrator's client: %w", err)
	}
	return nil
}

// Config returns how to reach the API server as an administrator, who may do all. Each call returns another copy. Its client
// does not limit its own rate.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.admin) }

// Client returns an administrator's client.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// CA returns the PEM certificate of the authority that the API server's certificate is from.
func (c *Cluster) CA() []byte { return append([]byte(nil), c.authority.pem...) }

// UserConfig returns how to reach the API server as a user, who has the rights that are bound to that name and to those groups,
// and no others. There is no need to announce a user before.
func (c *Cluster) UserConfig(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.authority.user(user, groups...)
	if err != nil {
		return nil, err
	}
	config := c.anonymous()
	config.CertData, config.KeyData = pair.cert, pair.key
	return config, nil
}

func (c *Cluster) anonymous() *rest.Config {
	return &rest.Config{Host: c.url, TLSClientConfig: rest.TLSClientConfig{CAData: c.authority.pem}, QPS: -1}
}

// Kubeconfig returns the path of the administrator's kubeconfig file.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig }

// UserKubeconfig writes the kubeconfig file of a user into dir and returns its path. The user has the rights that are bound to
// that name.
func (c *Cluster) UserKubeconfig(dir, user string) (string, error) {
	config, err := c.UserConfig(user)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig(dir, user, config)
}

// ServiceAccountKubeconfig writes the kubeconfig file of a service account that exists into dir and returns its path. Whoever uses
// it has the rights of a pod with that account: a chart's RBAC is tested as it is. The token is good for a day.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, dir, namespace, name string) (string, error) {
	seconds := int64(24 * 60 * 60)
	token, err := c.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("requesting a token of service account %s/%s: %w", namespace, name, err)
	}
	config := c.anonymous()
	config.BearerToken = token.Status.Token
	return c.writeKubeconfig(dir, namespace+"-"+name, config)
}

// writeKubeconfig writes <name>.kubeconfig. It has all keys in it and so can be moved.
func (c *Cluster) writeKubeconfig(dir, name string, config *rest.Config) (string, error) {
	k := clientcmdapi.NewConfig()
	k.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	k.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
	}
	k.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: name}
	k.CurrentContext = "test"
	path := filepath.Join(dir, name+".kubeconfig")
	if err := clientcmd.WriteToFile(*k, path); err != nil {
		return "", fmt.Errorf("writing the kubeconfig of %s: %w", name, err)
	}
	return path, nil
}
