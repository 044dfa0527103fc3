{ new(name):: { apiVersion: 'v1', kind: 'Service', metadata: { name: name, namespace: 'app01' }, spec: { ports: [{ port: 80 }] } } }
