//! Reads one manifest as JSON from standard input and says what CloudNativePG's
//! types don't know of it: fields of another name, type or set of values.

use k8s_crds_cloud_native_pg as cnpg;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn unknown_fields<T: DeserializeOwned>(spec: &Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let result: Result<T, _> = serde_ignored::deserialize(spec, |path| unknown.push(path.to_string()));
    result.map(|_| unknown).map_err(|error| error.to_string())
}

fn main() {
    let manifest: Value = serde_json::from_reader(std::io::stdin()).expect("JSON");
    let spec = &manifest["spec"];
    let result = match manifest["kind"].as_str() {
        Some("Cluster") => unknown_fields::<cnpg::ClusterSpec>(spec),
        Some("ClusterImageCatalog") => unknown_fields::<cnpg::ClusterImageCatalogSpec>(spec),
        Some("Database") => unknown_fields::<cnpg::DatabaseSpec>(spec),
        Some("ScheduledBackup") => unknown_fields::<cnpg::ScheduledBackupSpec>(spec),
        kind => Err(format!("no such kind: {kind:?}")),
    };
    match result {
        Ok(unknown) if unknown.is_empty() => (),
        Ok(unknown) => {
            eprintln!("unknown: {}", unknown.join(", "));
            std::process::exit(1);
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
