package kube

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

//go:embed kwok.yaml
var kwokConfig []byte

// What each node offers: no test is short of it.
var capacity = corev1.ResourceList{
	corev1.ResourceCPU:              resource.MustParse("10k"),
	corev1.ResourceMemory:           resource.MustParse("40Ti"),
	corev1.ResourceEphemeralStorage: resource.MustParse("40Ti"),
	corev1.ResourcePods:             resource.MustParse("20k"),
}

// StartKwok adds nodes, called node-0 and so on, and what makes pods run on them in name: kube-scheduler and KWOK in place of the
// kubelets. It returns when all nodes are ready. Each node takes 20,000 pods. A pod is Running as soon as it is scheduled, with
// all its containers ready, a Job's pod ends well at once, and a deleted pod is gone without its grace period. It needs the
// controller manager and can be called once.
func (c *Cluster) StartKwok(ctx context.Context, nodes int) error {
	if err := c.addNodes(ctx, nodes); err != nil {
		return fmt.Errorf("adding nodes: %w", err)
	}
	return nil
}

func (c *Cluster) addNodes(ctx context.Context, nodes int) error {
	kwok, err := c.startNodeProcesses(ctx)
	if err != nil {
		return err
	}
	for i := range nodes {
		if _, err := c.client.CoreV1().Nodes().Create(ctx, node(fmt.Sprintf("node-%d", i)), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return kwok.await(ctx, "all nodes were ready", func(ctx context.Context) error {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, n := range list.Items {
			if err := ready(&n); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *Cluster) startNodeProcesses(ctx context.Context) (kwok *process, err error) {
	bin, err := peer.Build(ctx, "kwok")
	if err != nil {
		return nil, err
	}
	addrs, err := peer.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes != nil {
		return nil, errors.New("StartKwok was called before")
	}
	if err := os.WriteFile(c.path("kwok.yaml"), kwokConfig, 0o600); err != nil {
		return nil, err
	}
	scheduler := c.process("kube-scheduler", c.bin,
		"--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0",
		"--kube-api-qps=1000", "--kube-api-burst=2000")
	kwok = c.process("kwok", bin,
		"--kubeconfig="+c.kubeconfig, "--manage-all-nodes=true", "--config="+c.path("kwok.yaml"),
		"--server-address="+addrs[0], "--cidr=10.128.0.0/9", "--node-ip=10.127.0.1")
	for _, p := range []*process{scheduler, kwok} {
		if err := p.start(); err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, p)
	}
	return kwok, nil
}

func node(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"},
		},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: capacity,
			NodeInfo: corev1.NodeSystemInfo{
				Architecture: "amd64", OperatingSystem: "linux", KubeletVersion: Version, ContainerRuntimeVersion: "kwok://0.8.0",
			},
		},
	}
}

// ready returns why no pod is scheduled to a node yet.
func ready(n *corev1.Node) error {
	for _, t := range n.Spec.Taints {
		return fmt.Errorf("node %s has the taint %s", n.Name, t.Key)
	}
	for _, cond := range n.Status.Conditions {
		if cond.Type == corev1.NodeReady && cond.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not Ready", n.Name)
}
