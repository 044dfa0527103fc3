package rule

import (
	"fmt"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// databases are custom resources with whose objects state goes: an operator deletes the database, the bucket or the snapshot. Each line has
// what they belong to, a group, and kinds of it. docs/guard/check.md has the same ones.
var databases = []struct{ owner, group, kinds string }{
	{"snapshots of volumes", "snapshot.storage.k8s.io", "VolumeSnapshot VolumeSnapshotContent"},
	{"databases in the cluster", "acid.zalan.do", "postgresql"},
	{"databases in the cluster", "cassandra.datastax.com", "CassandraDatacenter"},
	{"databases in the cluster", "clickhouse.altinity.com", "ClickHouseInstallation"},
	{"databases in the cluster", "elasticsearch.k8s.elastic.co", "Elasticsearch"},
	{"databases in the cluster", "etcd.database.coreos.com", "EtcdCluster"},
	{"databases in the cluster", "k8ssandra.io", "K8ssandraCluster"},
	{"databases in the cluster", "kafka.strimzi.io", "Kafka KafkaNodePool KafkaTopic"},
	{"databases in the cluster", "minio.min.io", "Tenant"},
	{"databases in the cluster", "mongodbcommunity.mongodb.com", "MongoDBCommunity"},
	{"databases in the cluster", "mysql.oracle.com", "InnoDBCluster"},
	{"databases in the cluster", "pingcap.com", "TidbCluster"},
	{"databases in the cluster", "postgres-operator.crunchydata.com", "PostgresCluster"},
	{"databases in the cluster", "postgresql.cnpg.io", "Cluster"},
	{"databases in the cluster", "ps.percona.com", "PerconaServerMySQL"},
	{"databases in the cluster", "psmdb.percona.com", "PerconaServerMongoDB"},
	{"databases in the cluster", "pxc.percona.com", "PerconaXtraDBCluster"},
	{"databases in the cluster", "rabbitmq.com", "RabbitmqCluster"},
	{"databases in the cluster", "redis.redis.opstreelabs.in", "RedisCluster"},
	{"databases in the cluster", "scylla.scylladb.com", "ScyllaCluster"},
	{"databases in the cluster", "zookeeper.pravega.io", "ZookeeperCluster"},
	{"ACK, of AWS", "docdb.services.k8s.aws", "DBCluster DBInstance"},
	{"ACK, of AWS", "dynamodb.services.k8s.aws", "GlobalTable Table"},
	{"ACK, of AWS", "efs.services.k8s.aws", "FileSystem"},
	{"ACK, of AWS", "elasticache.services.k8s.aws", "CacheCluster ReplicationGroup"},
	{"ACK, of AWS", "memorydb.services.k8s.aws", "Cluster"},
	{"ACK, of AWS", "opensearchservice.services.k8s.aws", "Domain"},
	{"ACK, of AWS", "rds.services.k8s.aws", "DBCluster DBInstance GlobalCluster"},
	{"ACK, of AWS", "s3.services.k8s.aws", "Bucket"},
	{"Config Connector, of Google", "alloydb.cnrm.cloud.google.com", "AlloyDBCluster AlloyDBInstance"},
	{"Config Connector, of Google", "bigquery.cnrm.cloud.google.com", "BigQueryDataset BigQueryTable"},
	{"Config Connector, of Google", "bigtable.cnrm.cloud.google.com", "BigtableInstance BigtableTable"},
	{"Config Connector, of Google", "compute.cnrm.cloud.google.com", "ComputeDisk"},
	{"Config Connector, of Google", "filestore.cnrm.cloud.google.com", "FilestoreInstance"},
	{"Config Connector, of Google", "redis.cnrm.cloud.google.com", "RedisInstance"},
	{"Config Connector, of Google", "spanner.cnrm.cloud.google.com", "SpannerDatabase SpannerInstance"},
	{"Config Connector, of Google", "sql.cnrm.cloud.google.com", "SQLDatabase SQLInstance"},
	{"Config Connector, of Google", "storage.cnrm.cloud.google.com", "StorageBucket"},
	{"Azure Service Operator", "cache.azure.com", "Redis"},
	{"Azure Service Operator", "dbformysql.azure.com", "FlexibleServer FlexibleServersDatabase"},
	{"Azure Service Operator", "dbforpostgresql.azure.com", "FlexibleServer FlexibleServersDatabase"},
	{"Azure Service Operator", "documentdb.azure.com", "DatabaseAccount SqlDatabase"},
	{"Azure Service Operator", "sql.azure.com", "Server ServersDatabase"},
	{"Azure Service Operator", "storage.azure.com", "StorageAccount StorageAccountsBlobServicesContainer"},
	{"Crossplane", "cosmosdb.azure.upbound.io", "Account"},
	{"Crossplane", "dbformysql.azure.upbound.io", "FlexibleServer"},
	{"Crossplane", "dbforpostgresql.azure.upbound.io", "FlexibleServer"},
	{"Crossplane", "docdb.aws.upbound.io", "Cluster ClusterInstance"},
	{"Crossplane", "dynamodb.aws.upbound.io", "Table"},
	{"Crossplane", "efs.aws.upbound.io", "FileSystem"},
	{"Crossplane", "elasticache.aws.upbound.io", "ReplicationGroup"},
	{"Crossplane", "rds.aws.upbound.io", "Cluster ClusterInstance GlobalCluster Instance"},
	{"Crossplane", "s3.aws.upbound.io", "Bucket"},
	{"Crossplane", "spanner.gcp.upbound.io", "Database Instance"},
	{"Crossplane", "sql.gcp.upbound.io", "Database DatabaseInstance"},
	{"Crossplane", "storage.azure.upbound.io", "Account Container"},
	{"Crossplane", "storage.gcp.upbound.io", "Bucket"},
}

// DatabaseKinds are those kinds.
func DatabaseKinds() []object.Kind {
	var all []object.Kind
	for _, d := range databases {
		for kind := range strings.FieldsSeq(d.kinds) {
			all = append(all, object.Kind{Group: d.group, Kind: kind})
		}
	}
	return all
}

// DatabaseTable is a table of those kinds for the documents.
func DatabaseTable() string {
	var b strings.Builder
	b.WriteString("| | kinds |\n|---|---|\n")
	owner := ""
	for _, d := range databases {
		if d.owner != owner {
			if owner != "" {
				b.WriteString(" |\n")
			}
			owner = d.owner
			fmt.Fprintf(&b, "| %s | ", owner)
		} else {
			b.WriteString(", ")
		}
		for n, kind := range strings.Fields(d.kinds) {
			if n > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "`%s/%s`", d.group, kind)
		}
	}
	b.WriteString(" |\n")
	return b.String()
}
