-- Run in a new cluster: keys that name no server are wrapped by OpenBao.
CREATE SERVER vault FOREIGN DATA WRAPPER vault_transit OPTIONS (
    address 'http://openbao:8200', allow_http 'true', key_name 'pii',
    auth_method 'approle', role_id 'pgseal', secret_id_file '/etc/pgseal/vault-secret-id');
ALTER SYSTEM SET pgseal.default_server = 'vault';
