function(cluster) [{ apiVersion: 'v1', kind: 'Service', metadata: {} }]
