//! Where the store is: a SQLite file, a PostgreSQL database, or nowhere.

use std::path::{Path, PathBuf};

use crate::{
    broker::sql::{postgres, sqlite},
    environment::{DATABASE_URL, Environment},
    secret::Secret,
};

/// Where it is when nobody says otherwise, below the current folder. A folder of its own, because whoever watches the
/// settings file would hear of every write beside it.
pub const USUAL_FILE: &str = "autoscalebot-data/store.db";

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file; made when it is not there.
    Sqlite(PathBuf),
    /// A PostgreSQL database, by its address.
    Postgres(Secret),
}

impl Place {
    /// The place that is wished for; without a wish, the database of the environment, else a file below `folder`. `none`
    /// is nowhere.
    ///
    /// # Errors
    /// What is wrong with the wish. It repeats no address.
    pub fn find(wish: Option<&str>, environment: &Environment, folder: &Path) -> Result<Option<Self>, String> {
        let Some(wish) = wish else {
            let is_postgres = |url: &&str| url.starts_with("postgres://") || url.starts_with("postgresql://");
            // Many apps have a database of another kind there; that is no reason not to start.
            return Ok(Some(match environment.get(DATABASE_URL.name).filter(is_postgres) {
                Some(url) => Self::postgres(url, DATABASE_URL.name)?,
                None => Self::Sqlite(folder.join(USUAL_FILE)),
            }));
        };
        if wish == "none" {
            return Ok(None);
        }
        if let Some(path) = wish.strip_prefix("sqlite:") {
            let path = sqlite::path(path).ok_or("the store names no file after sqlite:")?;
            return Ok(Some(Self::Sqlite(folder.join(path))));
        }
        if wish.starts_with("postgres://") || wish.starts_with("postgresql://") {
            return Self::postgres(wish, "the store").map(Some);
        }
        if wish.contains("://") {
            return Err("the store is none of sqlite:FILE, postgres://…, a path, none".to_owned());
        }
        Ok(Some(Self::Sqlite(folder.join(wish))))
    }

    fn postgres(url: &str, whence: &str) -> Result<Self, String> {
        match postgres::options(url) {
            Some(_) => Ok(Self::Postgres(Secret::new(url))),
            None => Err(format!("{whence} is no address of a PostgreSQL database")),
        }
    }

    /// In words that may be shown: no user, no password.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("the SQLite file {}", path.display()),
            Self::Postgres(url) => {
                postgres::options(url.reveal()).map_or("PostgreSQL".to_owned(), |options| postgres::shown(&options))
            }
        }
    }

    /// Stable word for its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_the_environment_comes_before_a_file_and_a_wish_before_both() {
        let folder = Path::new("/srv");
        let heroku: Environment = [("DATABASE_URL", "postgres://u:hunter2@db/app")].into_iter().collect();
        let mysql: Environment = [("DATABASE_URL", "mysql://u:hunter2@db/app")].into_iter().collect();
        let find = |wish, environment: &Environment| Place::find(wish, environment, folder).unwrap();
        let file = |name: &str| Some(Place::Sqlite(folder.join(name)));
        assert_eq!(find(None, &heroku), Some(Place::Postgres(Secret::new("postgres://u:hunter2@db/app"))));
        assert_eq!(find(None, &mysql), file(USUAL_FILE));
        assert_eq!(find(Some("none"), &heroku), None);
        assert_eq!(find(Some("history.db"), &heroku), file("history.db"));
        assert_eq!(find(Some("sqlite:/var/lib/history.db"), &heroku), file("/var/lib/history.db"));
    }

    #[test]
    fn a_wish_that_cannot_be_is_refused_without_repeating_it() {
        for wish in ["sqlite:", "mysql://u:hunter2@db/app", "postgres://u:hunter2@db:port/app"] {
            let error = Place::find(Some(wish), &Environment::default(), Path::new("/srv")).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
