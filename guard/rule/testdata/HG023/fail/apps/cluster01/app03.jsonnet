function(cluster) error 'no ' + cluster
