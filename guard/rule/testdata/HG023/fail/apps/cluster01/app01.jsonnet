local service = import 'service.libsonnet';
function(cluster) [service.new('web'), service.new('api') { metadata+: { labels: { cluster: cluster } } }]
