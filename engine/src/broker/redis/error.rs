//! What is told when Redis does not answer, refuses, or cannot be reached: each with the way out, none with a password, a
//! user's name or a URL.
//!
//! Redis begins its refusals with a word (`WRONGTYPE`), and that word decides. The words of the library and of TLS may
//! repeat what we sent, so they are searched and never shown.

use redis::{ErrorKind, RedisError, ServerError};

use super::{
    connect::Unconnected,
    settings::{To, Way},
};
use crate::measurement::MeasureError;

/// Tells errors of one server.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) shown: String,
    cluster: bool,
    tls: bool,
}

impl Told {
    pub(super) fn new(way: &Way) -> Self {
        Self { shown: way.shown(), cluster: matches!(way.to, To::Cluster(_)), tls: way.tls.is_some() }
    }

    pub(super) fn unconnected(&self, why: &Unconnected) -> MeasureError {
        let shown = &self.shown;
        let (key, message) = match why {
            Unconnected::Redis(error) => return self.failed(error),
            Unconnected::Refused(error) => return self.refused(error, None),
            Unconnected::CaFile(what) => ("ca_file", format!("{shown} was not asked: CA_FILE {what}")),
            Unconnected::NoSuchMaster => {
                ("no_master", format!("{shown}: no Sentinel knows a master of that name; check MASTER_NAME"))
            }
            Unconnected::NotMaster => {
                ("no_master", format!("{shown}: whom the Sentinels name is no master any more; they will name another"))
            }
        };
        MeasureError::unknown(key, message)
    }

    /// The server answered, and the answer is no. `asked` is the command and its first key.
    pub(super) fn refused(&self, error: &ServerError, asked: Option<(&str, &str)>) -> MeasureError {
        let shown = &self.shown;
        let detail = error.details().unwrap_or_default().to_lowercase();
        let (command, key) = asked.unwrap_or_default();
        let of_key = if key.is_empty() { "a key of the queue".to_owned() } else { format!("the key {key:?}") };
        let (kind, message) = match error.code() {
            "NOAUTH" | "WRONGPASS" => return self.unauthorized(),
            "NOPERM" if command.is_empty() => {
                ("unauthorized", format!("{shown} does not allow this user what a measurement needs; see ACL SETUSER"))
            }
            "NOPERM" => {
                let rule = format!("ACL SETUSER … +{} ~{key}", command.to_lowercase().replace(' ', "|"));
                ("unauthorized", format!("{shown} does not allow this user {command} on {of_key}; allow it: {rule}"))
            }
            "WRONGTYPE" => {
                let kind = format!("{shown}: {of_key} holds something of another kind; check the queue's name");
                ("wrong_type", kind)
            }
            "MOVED" | "ASK" | "CROSSSLOT" if !self.cluster => {
                ("cluster", format!("{shown} is a node of a Cluster; set CLUSTER: true"))
            }
            "LOADING" => ("loading", format!("{shown} still loads its data; it answers when it is done")),
            "MASTERDOWN" => ("no_master", format!("{shown} is a replica that has lost its master")),
            // In a Cluster, MOVED is left over when the library has followed it in vain.
            "CLUSTERDOWN" | "TRYAGAIN" | "MOVED" | "ASK" => {
                ("cluster_down", format!("{shown}: the Cluster does not serve all its slots now; see CLUSTER INFO"))
            }
            _ if detail.contains("cluster support disabled") => {
                ("cluster", format!("{shown} is no Cluster; leave out CLUSTER"))
            }
            _ if detail.contains("max number of clients") => {
                ("too_many_connections", format!("{shown} has as many connections as it allows; see its maxclients"))
            }
            _ if detail.contains("db index") => {
                ("no_database", format!("{shown} has no database of that number; check DATABASE_NUMBER or URL"))
            }
            _ if detail.contains("unknown command") || detail.contains("syntax error") => {
                ("unsupported", format!("{shown} does not know {command}; Redis 6 or newer does"))
            }
            code => {
                let code = if code.chars().all(|letter| letter.is_ascii_uppercase()) { code } else { "ERR" };
                ("broker_error", format!("{shown} refuses to answer ({code})"))
            }
        };
        MeasureError::unknown(kind, message)
    }

    /// Nothing was answered, or nothing that can be read.
    pub(super) fn failed(&self, error: &RedisError) -> MeasureError {
        let shown = &self.shown;
        if let Some([(_, refusal), ..]) = error.clone().into_server_errors().as_deref() {
            return self.refused(refusal, None);
        }
        let words = error.to_string().to_lowercase();
        let says = |what: &[&str]| what.iter().any(|what| words.contains(what));
        let (key, message) = if error.kind() == ErrorKind::AuthenticationFailed
            || says(&["noauth", "wrongpass", "authentication failed"])
        {
            return self.unauthorized();
        } else if says(&["invalid peer certificate", "certificate"]) {
            let why = if says(&["notvalidforname", "not valid for name"]) {
                "it is for another name"
            } else if says(&["expired"]) {
                "it has expired"
            } else if says(&["notvalidyet", "not valid yet"]) {
                "it is not valid yet"
            } else {
                "nobody whom we trust vouches for it"
            };
            let way_out = "name its authority in CA_FILE, or set VERIFY_CERTIFICATE: false if there is none";
            ("untrusted", format!("{shown}: its certificate is not trusted, {why}; {way_out}"))
        } else if error.is_timeout() {
            return self.timed_out();
        } else if error.is_connection_refusal() || says(&["connection refused"]) {
            ("refused", format!("{shown} refuses connections; does it run, and are host and port right?"))
        } else if says(&["failed to lookup address", "no address found", "name or service not known"]) {
            ("name_not_found", format!("{shown}: the host has no address; check its name"))
        } else if self.tls && says(&["corrupt message", "invalidcontenttype", "handshake", "eof"]) {
            (
                "no_tls",
                format!("{shown} does not speak TLS there; leave out TLS, and use redis:// instead of rediss://"),
            )
        } else if says(&["unreachable", "no route"]) {
            ("unreachable", format!("{shown}: no way leads to the host; check the network"))
        } else if says(&["cluster support disabled"]) {
            ("cluster", format!("{shown} is no Cluster; leave out CLUSTER"))
        } else if error.kind() == ErrorKind::ClusterConnectionNotFound || says(&["slot", "initial connections"]) {
            ("cluster_down", format!("{shown}: the node that has the queue cannot be reached; see CLUSTER NODES"))
        } else if says(&["db index", "select"]) {
            ("no_database", format!("{shown} has no database of that number; check DATABASE_NUMBER or URL"))
        } else if error.is_connection_dropped() && !self.tls {
            // Redis tells before it closes that it has too many clients (maxclients), but that does not always arrive.
            let way_out =
                "if it wants TLS, set TLS: true or use rediss://; or it has as many clients as its maxclients allows";
            ("connection_lost", format!("{shown} closed the connection; {way_out}"))
        } else if error.is_connection_dropped() {
            ("connection_lost", format!("{shown} closed the connection"))
        } else {
            ("broker_error", format!("{shown} did not answer the question ({})", error.category()))
        };
        MeasureError::unknown(key, message)
    }

    pub(super) fn timed_out(&self) -> MeasureError {
        MeasureError::unknown("timeout", format!("{} did not answer in time", self.shown))
    }

    /// No connection ever came about.
    pub(super) fn never_answered(&self) -> MeasureError {
        let way_out =
            if self.tls { "does it speak TLS there?" } else { "is it Redis, and does no firewall stand between?" };
        MeasureError::unknown("timeout", format!("{} did not answer in time; {way_out}", self.shown))
    }

    fn unauthorized(&self) -> MeasureError {
        let message =
            format!("{} refuses user and password, or wants them; check USERNAME, PASSWORD or URL", self.shown);
        MeasureError::unknown("unauthorized", message)
    }
}
