-- what the first schema of the database was: tests/records/test_older_data.py moves it forward

CREATE TABLE groups (
    name VARCHAR NOT NULL,
    guid VARCHAR NOT NULL,
    PRIMARY KEY (guid),
    UNIQUE (name)
);

CREATE TABLE users (
    username VARCHAR NOT NULL,
    user_role VARCHAR NOT NULL,
    api_key VARCHAR NOT NULL,
    email VARCHAR NOT NULL,
    first_name VARCHAR NOT NULL,
    last_name VARCHAR NOT NULL,
    guid VARCHAR NOT NULL,
    created_time VARCHAR NOT NULL,
    locked BOOLEAN NOT NULL,
    PRIMARY KEY (guid),
    UNIQUE (username),
    UNIQUE (api_key)
);

CREATE TABLE tags (
    name VARCHAR NOT NULL,
    parent_id INTEGER,
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    created_time VARCHAR NOT NULL,
    updated_time VARCHAR NOT NULL,
    FOREIGN KEY(parent_id) REFERENCES tags (id) ON DELETE CASCADE
);

CREATE TABLE memberships (
    user_guid VARCHAR NOT NULL,
    group_guid VARCHAR NOT NULL,
    PRIMARY KEY (user_guid, group_guid),
    FOREIGN KEY(user_guid) REFERENCES users (guid) ON DELETE CASCADE,
    FOREIGN KEY(group_guid) REFERENCES groups (guid) ON DELETE CASCADE
);

CREATE TABLE content (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name VARCHAR NOT NULL,
    owner_guid VARCHAR NOT NULL,
    guid VARCHAR NOT NULL,
    title VARCHAR,
    description VARCHAR NOT NULL,
    access_type VARCHAR NOT NULL,
    bundle_id INTEGER,
    app_mode VARCHAR NOT NULL,
    py_version VARCHAR,
    created_time VARCHAR NOT NULL,
    last_deployed_time VARCHAR NOT NULL,
    min_processes INTEGER,
    max_processes INTEGER,
    max_conns_per_process INTEGER,
    load_factor DOUBLE,
    init_timeout INTEGER,
    idle_timeout INTEGER,
    connection_timeout INTEGER,
    read_timeout INTEGER,
    UNIQUE (owner_guid, name),
    FOREIGN KEY(owner_guid) REFERENCES users (guid),
    UNIQUE (guid)
);

CREATE TABLE permissions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    content_guid VARCHAR NOT NULL,
    principal_guid VARCHAR NOT NULL,
    principal_type VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    UNIQUE (content_guid, principal_guid),
    FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE
);

CREATE TABLE vanities (
    content_guid VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    created_time VARCHAR NOT NULL,
    PRIMARY KEY (content_guid),
    FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE,
    UNIQUE (path)
);

CREATE TABLE content_tags (
    content_guid VARCHAR NOT NULL,
    tag_id INTEGER NOT NULL,
    PRIMARY KEY (content_guid, tag_id),
    FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE,
    FOREIGN KEY(tag_id) REFERENCES tags (id) ON DELETE CASCADE
);

CREATE TABLE bundles (
    content_guid VARCHAR NOT NULL,
    created_by VARCHAR NOT NULL,
    size INTEGER NOT NULL,
    archive_md5 VARCHAR NOT NULL,
    archive_sha1 VARCHAR NOT NULL,
    manifest JSON NOT NULL,
    source JSON NOT NULL,
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    created_time VARCHAR NOT NULL,
    py_version VARCHAR,
    environment VARCHAR,
    FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE
);

CREATE TABLE environment_variables (
    content_guid VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    PRIMARY KEY (content_guid, name),
    FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE
);

CREATE TABLE jobs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "key" VARCHAR NOT NULL,
    content_guid VARCHAR NOT NULL,
    bundle_id INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    tag VARCHAR NOT NULL,
    hostname VARCHAR NOT NULL,
    start_time VARCHAR NOT NULL,
    end_time VARCHAR,
    exit_code INTEGER,
    status INTEGER NOT NULL,
    UNIQUE ("key"),
    FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE
);
