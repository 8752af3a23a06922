#!/bin/sh
# statefulset.yaml is what the chart makes of its own values: sh deploy/kubernetes/statefulset.sh
set -eu
cd "$(dirname "$0")"
{
	echo '# PostgreSQL with pgseal, without Helm: made by statefulset.sh from deploy/helm/pgseal.'
	echo '# It takes a Secret postgres-password (key "password") and a StorageClass "encrypted".'
	helm template postgres ../helm/pgseal
} >statefulset.yaml
