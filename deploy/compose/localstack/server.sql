-- Run in a new cluster: keys that name no server are wrapped by LocalStack.
CREATE SERVER aws FOREIGN DATA WRAPPER aws_kms OPTIONS (
    key_id 'alias/pii', region 'eu-west-1', credentials 'environment',
    endpoint 'http://localstack:4566', allow_http 'true');
ALTER SYSTEM SET pgseal.default_server = 'aws';
