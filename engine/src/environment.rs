//! The only file that reads environment variables, and the list of those that mean something to us.
//!
//! Everything else is handed an [`Environment`], which a test fills as it likes.

use std::collections::BTreeMap;

use crate::secret::Secret;

/// A variable that the program reads on its own account (a settings file may name any other as `${NAME}`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub meaning: &'static str,
}

/// The settings to use when the command line names none.
pub const SETTINGS: Variable = Variable {
    name: "AUTOSCALEBOT_SETTINGS",
    meaning: "the settings file (or module name) when `--settings` is not given",
};
/// The Heroku API key when settings hold none.
pub const HEROKU_API_KEY: Variable =
    Variable { name: "HEROKU_API_KEY", meaning: "the Heroku API key when API_KEY is not set" };
/// The Heroku app when settings name none.
pub const HEROKU_APP_NAME: Variable = Variable {
    name: "HEROKU_APP_NAME",
    meaning: "the Heroku app when APP_NAME is not set; with it, a process without SCALING is one of that app",
};
/// Another address for Heroku's API.
pub const HEROKU_API_URL: Variable = Variable {
    name: "HEROKU_API_URL",
    meaning: "the address of Heroku's Platform API when API_URL is not set; default `https://api.heroku.com`",
};
/// The app's database, where the store is when nobody says otherwise.
pub const DATABASE_URL: Variable = Variable {
    name: "DATABASE_URL",
    meaning: "the PostgreSQL database in which history is kept when `--store` is not given; without one, a SQLite file",
};
/// Where history is kept.
pub const STORE: Variable = Variable {
    name: "AUTOSCALEBOT_STORE",
    meaning: "where history is kept when `--store` is not given: `sqlite:FILE`, `postgres://…`, `none`",
};
/// The token of those who may look.
pub const READ_TOKEN: Variable = Variable {
    name: "AUTOSCALEBOT_READ_TOKEN",
    meaning: "whoever says this token may look at everything over HTTP, and change nothing",
};
/// The token of those who may command.
pub const OPERATE_TOKEN: Variable = Variable {
    name: "AUTOSCALEBOT_OPERATE_TOKEN",
    meaning: "whoever says this token may also pause, hold and scale over HTTP",
};
/// What is logged, and how.
pub const LOG: Variable = Variable {
    name: "AUTOSCALEBOT_LOG",
    meaning: "what is logged: a level (`info`, `debug`), a filter (`autoscalebot=debug,hyper=warn`), and `json` or \
              `text` for the format, separated by commas; default `info,text`. In the Python package also `python`: \
              to Python's `logging`, logger `autoscalebot.engine`",
};
/// No colours.
pub const NO_COLOR: Variable = Variable { name: "NO_COLOR", meaning: "when set and not empty, nothing is coloured" };
/// The access key for AWS when settings hold none.
pub const AWS_ACCESS_KEY_ID: Variable =
    Variable { name: "AWS_ACCESS_KEY_ID", meaning: "the access key for AWS when ACCESS_KEY_ID is not set" };
/// Its secret.
pub const AWS_SECRET_ACCESS_KEY: Variable =
    Variable { name: "AWS_SECRET_ACCESS_KEY", meaning: "the secret of that access key" };
/// Its token, if it was lent.
pub const AWS_SESSION_TOKEN: Variable =
    Variable { name: "AWS_SESSION_TOKEN", meaning: "the token of that access key, if it was lent for some time" };
/// The region of AWS.
pub const AWS_REGION: Variable = Variable { name: "AWS_REGION", meaning: "the region of AWS when REGION is not set" };
/// The same, by its older name.
pub const AWS_DEFAULT_REGION: Variable =
    Variable { name: "AWS_DEFAULT_REGION", meaning: "the same, when AWS_REGION is not set either" };
/// Where a container of ECS finds its credentials.
pub const AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: Variable = Variable {
    name: "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    meaning: "set by ECS: where a container finds the credentials of its role",
};
/// Where a container of EKS finds its credentials.
pub const AWS_CONTAINER_CREDENTIALS_FULL_URI: Variable = Variable {
    name: "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    meaning: "set by EKS: where a container finds the credentials of its role",
};
/// What a container says to get them.
pub const AWS_CONTAINER_AUTHORIZATION_TOKEN: Variable =
    Variable { name: "AWS_CONTAINER_AUTHORIZATION_TOKEN", meaning: "what a container says to get them" };
/// The file that holds what a container says to get them.
pub const AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: Variable = Variable {
    name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    meaning: "set by EKS: the file with what a container says to get them",
};
/// Whether a machine of EC2 is not asked for its role.
pub const AWS_EC2_METADATA_DISABLED: Variable = Variable {
    name: "AWS_EC2_METADATA_DISABLED",
    meaning: "`true`: the metadata service of EC2 is not asked for the credentials of the machine's role",
};
/// Where the metadata service of EC2 is.
pub const AWS_EC2_METADATA_SERVICE_ENDPOINT: Variable = Variable {
    name: "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    meaning: "where that service is; default `http://169.254.169.254`",
};

/// Where metrics are sent.
pub const OTEL_EXPORTER_OTLP_ENDPOINT: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    meaning: "where OpenTelemetry metrics are sent over HTTP, such as `http://localhost:4318`; `/v1/metrics` is appended. \
              Without it and the next one, none are sent",
};
/// The same, for metrics alone.
pub const OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    meaning: "the same for metrics alone, taken as it is: nothing is appended",
};
/// What is sent with them.
pub const OTEL_EXPORTER_OTLP_HEADERS: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_HEADERS",
    meaning: "headers that go with them, `name=value` separated by commas, values percent-encoded; kept secret",
};
/// The same, for metrics alone.
pub const OTEL_EXPORTER_OTLP_METRICS_HEADERS: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    meaning: "the same for metrics alone; beside the others, and before them for the same name",
};
/// How they are sent.
pub const OTEL_EXPORTER_OTLP_PROTOCOL: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_PROTOCOL",
    meaning: "how they are sent: only `http/protobuf`, the default, is known; with `grpc` none are sent, and that is said",
};
/// How long sending may take.
pub const OTEL_EXPORTER_OTLP_TIMEOUT: Variable = Variable {
    name: "OTEL_EXPORTER_OTLP_TIMEOUT",
    meaning: "how long sending may take, in milliseconds; default 10000",
};
/// How often they are sent.
pub const OTEL_METRIC_EXPORT_INTERVAL: Variable = Variable {
    name: "OTEL_METRIC_EXPORT_INTERVAL",
    meaning: "how often they are sent, in milliseconds; default 60000",
};
/// Whose they are.
pub const OTEL_SERVICE_NAME: Variable =
    Variable { name: "OTEL_SERVICE_NAME", meaning: "whose metrics they are; default `autoscalebot`" };
/// What else is known of whose they are.
pub const OTEL_RESOURCE_ATTRIBUTES: Variable = Variable {
    name: "OTEL_RESOURCE_ATTRIBUTES",
    meaning: "what else is said of whose they are: `name=value` separated by commas, values percent-encoded",
};

/// Every variable that the program reads on its own account; the docs are made from it.
pub const VARIABLES: &[Variable] = &[
    SETTINGS,
    HEROKU_API_KEY,
    HEROKU_APP_NAME,
    HEROKU_API_URL,
    DATABASE_URL,
    STORE,
    READ_TOKEN,
    OPERATE_TOKEN,
    LOG,
    NO_COLOR,
    AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
    AWS_REGION,
    AWS_DEFAULT_REGION,
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI,
    AWS_CONTAINER_CREDENTIALS_FULL_URI,
    AWS_CONTAINER_AUTHORIZATION_TOKEN,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
    AWS_EC2_METADATA_DISABLED,
    AWS_EC2_METADATA_SERVICE_ENDPOINT,
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_HEADERS,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_METRIC_EXPORT_INTERVAL,
    OTEL_SERVICE_NAME,
    OTEL_RESOURCE_ATTRIBUTES,
];

/// The environment of a program, as a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// That of this program. Variables that are not Unicode are left out.
    #[must_use]
    pub fn of_this_program() -> Self {
        let unicode =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(unicode.collect())
    }

    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same, as a secret.
    #[must_use]
    pub fn secret(&self, variable: Variable) -> Option<Secret> {
        self.get(variable.name).map(Secret::new)
    }

    /// The names of all variables that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<Name: Into<String>, Text: Into<String>> FromIterator<(Name, Text)> for Environment {
    fn from_iter<Pairs: IntoIterator<Item = (Name, Text)>>(pairs: Pairs) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}
