# OpenBao for development.  It unseals itself with a key that everybody can read,
# and at its first start makes what pgseal needs: docs/kms/vault.md.

storage "raft" {
  path    = "/openbao/file"
  node_id = "development"
}

listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true
}

api_addr     = "http://127.0.0.1:8200"
cluster_addr = "http://127.0.0.1:8201"

seal "static" {
  current_key_id = "development"
  current_key    = "ZGV2ZWxvcG1lbnQgZGV2ZWxvcG1lbnQgZGV2ZWxvcG0="
}

initialize "transit" {
  request "mount" {
    operation = "update"
    path      = "sys/mounts/transit"
    data      = { type = "transit" }
  }
  request "key" {
    operation = "update"
    path      = "transit/keys/pii"
    data      = { derived = true }
  }
  request "policy" {
    operation = "update"
    path      = "sys/policies/acl/pgseal"
    data = {
      policy = <<-END
        path "transit/datakey/plaintext/pii" { capabilities = ["update"] }
        path "transit/decrypt/pii"           { capabilities = ["update"] }
        path "transit/encrypt/pii"           { capabilities = ["update"] }
        path "transit/rewrap/pii"            { capabilities = ["update"] }
        path "transit/keys/pii"              { capabilities = ["read"] }
        END
    }
  }
}

initialize "login" {
  request "mount" {
    operation = "update"
    path      = "sys/auth/approle"
    data      = { type = "approle" }
  }
  request "role" {
    operation = "update"
    path      = "auth/approle/role/pgseal"
    data      = { token_policies = ["pgseal"], token_ttl = "1h" }
  }
  request "role-id" {
    operation = "update"
    path      = "auth/approle/role/pgseal/role-id"
    data      = { role_id = "pgseal" }
  }
  # What ./secret-id holds
  request "secret-id" {
    operation = "update"
    path      = "auth/approle/role/pgseal/custom-secret-id"
    data      = { secret_id = "development" }
  }
}
