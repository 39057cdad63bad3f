-- The tables as of the first version; see the package tables.
CREATE TABLE meta (
	"key" TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY ("key")
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE project (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	slug TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (slug)
)
 STRICT;
CREATE TABLE session (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	uid TEXT NOT NULL,
	project_id INTEGER NOT NULL,
	client TEXT NOT NULL,
	started_at INTEGER NOT NULL,
	seen_at INTEGER NOT NULL,
	ended_at INTEGER,
	UNIQUE (uid),
	FOREIGN KEY(project_id) REFERENCES project (id)
)
 STRICT;
CREATE TABLE agent (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	session_id INTEGER,
	heard INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	seen_at INTEGER NOT NULL,
	retired_at INTEGER,
	UNIQUE (project_id, name),
	FOREIGN KEY(project_id) REFERENCES project (id),
	FOREIGN KEY(session_id) REFERENCES session (id)
)
 STRICT;
CREATE TABLE collaboration (
	agent_id INTEGER NOT NULL,
	other_id INTEGER NOT NULL,
	type TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	successes INTEGER NOT NULL,
	micros INTEGER NOT NULL,
	last_at INTEGER NOT NULL,
	PRIMARY KEY (agent_id, other_id, type),
	CHECK (successes BETWEEN 0 AND attempts),
	FOREIGN KEY(agent_id) REFERENCES agent (id),
	FOREIGN KEY(other_id) REFERENCES agent (id)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE context (
	project_id INTEGER NOT NULL,
	"key" TEXT NOT NULL,
	value TEXT NOT NULL,
	version INTEGER NOT NULL,
	agent_id INTEGER,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (project_id, "key"),
	CHECK (json_valid(value)),
	FOREIGN KEY(project_id) REFERENCES project (id),
	FOREIGN KEY(agent_id) REFERENCES agent (id)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE event (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL,
	subject TEXT NOT NULL,
	operation TEXT NOT NULL,
	agent_id INTEGER,
	session_id INTEGER,
	version INTEGER NOT NULL,
	change TEXT NOT NULL,
	at INTEGER NOT NULL,
	CHECK (json_valid(change)),
	FOREIGN KEY(project_id) REFERENCES project (id),
	FOREIGN KEY(agent_id) REFERENCES agent (id),
	FOREIGN KEY(session_id) REFERENCES session (id)
)
 STRICT;
CREATE INDEX event_subject ON event (project_id, subject, id);
CREATE TABLE memory (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	uid TEXT NOT NULL,
	project_id INTEGER NOT NULL,
	agent_id INTEGER,
	session_id INTEGER,
	run TEXT,
	kind TEXT NOT NULL,
	area TEXT NOT NULL,
	title TEXT NOT NULL,
	body TEXT NOT NULL,
	words TEXT NOT NULL,
	data TEXT NOT NULL,
	tags TEXT NOT NULL,
	impact TEXT,
	importance REAL NOT NULL,
	confidence REAL,
	origin TEXT NOT NULL,
	trust INTEGER NOT NULL,
	source TEXT NOT NULL,
	evidence TEXT NOT NULL,
	flags TEXT NOT NULL,
	digest BLOB NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	valid_from INTEGER NOT NULL,
	valid_to INTEGER,
	superseded_by INTEGER,
	expires_at INTEGER,
	pinned INTEGER NOT NULL,
	times INTEGER NOT NULL,
	used INTEGER NOT NULL,
	used_at INTEGER,
	helpful INTEGER NOT NULL,
	harmful INTEGER NOT NULL,
	version INTEGER NOT NULL,
	CHECK (kind IN ('insight', 'pattern', 'decision', 'fact', 'baseline', 'lesson', 'note')),
	CHECK (impact IN ('low', 'medium', 'high', 'critical')),
	CHECK (origin IN ('agent', 'user', 'tool', 'run', 'import')),
	CHECK (trust BETWEEN 0 AND 3),
	CHECK (importance BETWEEN 0 AND 1),
	CHECK (confidence BETWEEN 0 AND 1),
	CHECK (json_valid(data)),
	CHECK (json_valid(tags)),
	CHECK (json_valid(evidence)),
	CHECK (json_valid(flags)),
	UNIQUE (uid),
	FOREIGN KEY(project_id) REFERENCES project (id),
	FOREIGN KEY(agent_id) REFERENCES agent (id),
	FOREIGN KEY(session_id) REFERENCES session (id),
	FOREIGN KEY(superseded_by) REFERENCES memory (id)
)
 STRICT;
CREATE INDEX memory_agent ON memory (project_id, agent_id, created_at);
CREATE INDEX memory_expires ON memory (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX memory_kind ON memory (project_id, kind, created_at);
CREATE UNIQUE INDEX memory_once ON memory (project_id, ifnull(agent_id, 0), kind, digest) WHERE valid_to IS NULL;
CREATE INDEX memory_run ON memory (run) WHERE run IS NOT NULL;
CREATE INDEX memory_superseded ON memory (superseded_by) WHERE superseded_by IS NOT NULL;
CREATE TABLE message (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	uid TEXT NOT NULL,
	project_id INTEGER NOT NULL,
	sender_id INTEGER NOT NULL,
	session_id INTEGER,
	thread TEXT NOT NULL,
	reply_to INTEGER,
	task TEXT,
	type TEXT NOT NULL,
	priority INTEGER NOT NULL,
	subject TEXT NOT NULL,
	body TEXT NOT NULL,
	details TEXT NOT NULL,
	flags TEXT NOT NULL,
	broadcast INTEGER NOT NULL,
	ack INTEGER NOT NULL,
	"key" TEXT,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	CHECK (priority BETWEEN 0 AND 3),
	CHECK (json_valid(details)),
	CHECK (json_valid(flags)),
	UNIQUE (sender_id, "key"),
	UNIQUE (uid),
	FOREIGN KEY(project_id) REFERENCES project (id),
	FOREIGN KEY(sender_id) REFERENCES agent (id),
	FOREIGN KEY(session_id) REFERENCES session (id),
	FOREIGN KEY(reply_to) REFERENCES message (id)
)
 STRICT;
CREATE INDEX message_open ON message (project_id, id) WHERE broadcast = 1;
CREATE INDEX message_reply ON message (reply_to) WHERE reply_to IS NOT NULL;
CREATE INDEX message_thread ON message (project_id, thread);
CREATE TABLE reservation (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	project_id INTEGER NOT NULL,
	resource TEXT NOT NULL,
	mode TEXT NOT NULL,
	agent_id INTEGER NOT NULL,
	session_id INTEGER,
	reason TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	released_at INTEGER,
	CHECK (mode IN ('shared', 'exclusive')),
	FOREIGN KEY(project_id) REFERENCES project (id),
	FOREIGN KEY(agent_id) REFERENCES agent (id),
	FOREIGN KEY(session_id) REFERENCES session (id)
)
 STRICT;
CREATE INDEX reservation_open ON reservation (project_id, resource) WHERE released_at IS NULL;
CREATE TABLE task (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	uid TEXT NOT NULL,
	project_id INTEGER NOT NULL,
	agent_id INTEGER NOT NULL,
	session_id INTEGER,
	parent_id INTEGER,
	"key" TEXT,
	description TEXT NOT NULL,
	type TEXT NOT NULL,
	workflow TEXT NOT NULL,
	phase TEXT NOT NULL,
	run TEXT,
	outcome TEXT NOT NULL,
	progress REAL NOT NULL,
	note TEXT NOT NULL,
	insights TEXT NOT NULL,
	data TEXT NOT NULL,
	tokens_in INTEGER NOT NULL,
	tokens_out INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	ended_at INTEGER,
	version INTEGER NOT NULL,
	CHECK (outcome IN ('running', 'success', 'partial', 'failure', 'cancelled')),
	CHECK (progress BETWEEN 0 AND 1),
	CHECK (json_valid(insights)),
	CHECK (json_valid(data)),
	UNIQUE (project_id, agent_id, "key"),
	UNIQUE (uid),
	FOREIGN KEY(project_id) REFERENCES project (id),
	FOREIGN KEY(agent_id) REFERENCES agent (id),
	FOREIGN KEY(session_id) REFERENCES session (id),
	FOREIGN KEY(parent_id) REFERENCES task (id)
)
 STRICT;
CREATE INDEX task_agent ON task (project_id, agent_id, started_at);
CREATE INDEX task_parent ON task (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX task_run ON task (run) WHERE run IS NOT NULL;
CREATE INDEX task_time ON task (project_id, started_at);
CREATE TABLE delegation (
	task_id INTEGER NOT NULL,
	number INTEGER NOT NULL,
	to_agent_id INTEGER NOT NULL,
	type TEXT NOT NULL,
	reason TEXT NOT NULL,
	outcome TEXT NOT NULL,
	note TEXT NOT NULL,
	child_task_id INTEGER,
	created_at INTEGER NOT NULL,
	settled_at INTEGER,
	PRIMARY KEY (task_id, number),
	CHECK (outcome IN ('open', 'success', 'partial', 'failure', 'cancelled')),
	FOREIGN KEY(task_id) REFERENCES task (id) ON DELETE CASCADE,
	FOREIGN KEY(to_agent_id) REFERENCES agent (id),
	FOREIGN KEY(child_task_id) REFERENCES task (id)
)
 WITHOUT ROWID,
 STRICT;
CREATE INDEX delegation_child ON delegation (child_task_id) WHERE child_task_id IS NOT NULL;
CREATE TABLE delivery (
	agent_id INTEGER NOT NULL,
	message_id INTEGER NOT NULL,
	priority INTEGER NOT NULL,
	expires_at INTEGER,
	state TEXT NOT NULL,
	claimed_by TEXT NOT NULL,
	lease_until INTEGER,
	not_before INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	note TEXT NOT NULL,
	read_at INTEGER,
	acked_at INTEGER,
	PRIMARY KEY (agent_id, message_id),
	CHECK (state IN ('unread', 'claimed', 'acked', 'dead')),
	FOREIGN KEY(agent_id) REFERENCES agent (id),
	FOREIGN KEY(message_id) REFERENCES message (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE INDEX delivery_message ON delivery (message_id);
CREATE INDEX delivery_open ON delivery (agent_id, priority DESC, message_id) WHERE state IN ('unread', 'claimed');
CREATE TABLE link (
	source_id INTEGER NOT NULL,
	target_id INTEGER NOT NULL,
	relation TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (source_id, target_id, relation),
	CHECK (relation IN ('supports', 'contradicts', 'supersedes', 'derived_from', 'about')),
	FOREIGN KEY(source_id) REFERENCES memory (id) ON DELETE CASCADE,
	FOREIGN KEY(target_id) REFERENCES memory (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE memory_vector (
	memory_id INTEGER NOT NULL,
	model TEXT NOT NULL,
	dimensions INTEGER NOT NULL,
	vector BLOB NOT NULL,
	PRIMARY KEY (memory_id, model),
	FOREIGN KEY(memory_id) REFERENCES memory (id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE VIRTUAL TABLE memory_words USING fts5(
	title, body, words, content='memory', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER memory_added AFTER INSERT ON memory BEGIN
	INSERT INTO memory_words(rowid, title, body, words) VALUES (new.id, new.title, new.body, new.words);
END;
CREATE TRIGGER memory_removed AFTER DELETE ON memory BEGIN
	INSERT INTO memory_words(memory_words, rowid, title, body, words)
	VALUES ('delete', old.id, old.title, old.body, old.words);
END;
CREATE TRIGGER memory_changed AFTER UPDATE OF title, body, words ON memory BEGIN
	INSERT INTO memory_words(memory_words, rowid, title, body, words)
	VALUES ('delete', old.id, old.title, old.body, old.words);
	INSERT INTO memory_words(rowid, title, body, words) VALUES (new.id, new.title, new.body, new.words);
END;
CREATE VIRTUAL TABLE memory_terms USING fts5vocab(memory_words, row);
