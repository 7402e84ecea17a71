//! Which names a piece of Python mentions, and what may happen to them there.

use ruff_python_ast::{
    Alias, Expr, Stmt,
    visitor::{Visitor, walk_expr, walk_stmt},
};

/// Functions that look at what they are handed and change nothing.
const HARMLESS: [&str; 22] = [
    "abs",
    "all",
    "any",
    "bool",
    "dict",
    "enumerate",
    "float",
    "frozenset",
    "getattr",
    "int",
    "isinstance",
    "len",
    "list",
    "max",
    "min",
    "print",
    "range",
    "set",
    "sorted",
    "str",
    "sum",
    "tuple",
];

/// A name in a piece of Python.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mention {
    /// The name.
    pub name: String,
    /// It is assigned, imported or deleted there.
    pub is_assigned: bool,
    /// It is declared `global` there.
    pub is_global: bool,
    /// It is handed to a call that may change it, or its method is called.
    pub is_in_call: bool,
    /// No name, but something that may assign any: `import *`, `exec`, `globals()`.
    pub is_everything: bool,
}

impl Mention {
    /// A name that is assigned.
    pub fn assigned(name: &str) -> Self {
        Self { name: name.to_owned(), is_assigned: true, ..Self::default() }
    }
}

/// A piece of Python that can be searched for names.
pub trait Searched {
    /// Hands itself to the search.
    fn visit<'a>(&'a self, names: &mut Names<'a>);
}

impl Searched for Stmt {
    fn visit<'a>(&'a self, names: &mut Names<'a>) {
        names.visit_stmt(self);
    }
}

impl Searched for Expr {
    fn visit<'a>(&'a self, names: &mut Names<'a>) {
        names.visit_expr(self);
    }
}

/// Every name that is mentioned in it.
pub fn mentions(piece: &impl Searched) -> Vec<Mention> {
    let mut names = Names::default();
    piece.visit(&mut names);
    for mention in &mut names.found {
        mention.is_global = names.global.contains(&mention.name.as_str());
    }
    names.found
}

/// The search.
#[derive(Default)]
pub struct Names<'a> {
    found: Vec<Mention>,
    global: Vec<&'a str>,
    /// How many calls that may change something we are inside of.
    calls: usize,
}

impl<'a> Names<'a> {
    fn imported(&mut self, alias: &'a Alias) {
        let name = alias
            .asname
            .as_ref()
            .map_or_else(|| alias.name.split('.').next().unwrap_or_default(), |name| name.as_str());
        if name == "*" {
            self.found.push(Mention { is_everything: true, ..Mention::default() });
        } else {
            self.found.push(Mention::assigned(name));
        }
    }
}

impl<'a> Visitor<'a> for Names<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => import.names.iter().for_each(|alias| self.imported(alias)),
            Stmt::ImportFrom(import) => import.names.iter().for_each(|alias| self.imported(alias)),
            Stmt::Global(global) => self.global.extend(global.names.iter().map(|name| name.as_str())),
            Stmt::FunctionDef(function) => self.found.push(Mention::assigned(function.name.as_str())),
            Stmt::ClassDef(class) => self.found.push(Mention::assigned(class.name.as_str())),
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        let call = match expression {
            Expr::Call(call) => Some(&*call.func),
            _ => None,
        };
        let is_harmless = match call {
            Some(Expr::Name(name)) => HARMLESS.contains(&name.id.as_str()),
            // A text's method and the environment's change nothing of ours.
            Some(Expr::Attribute(attribute)) => attribute.attr.as_str() == "format",
            _ => true,
        };
        if let Some(Expr::Name(name)) = call
            && matches!(name.id.as_str(), "exec" | "eval" | "globals" | "locals" | "vars" | "setattr")
        {
            self.found.push(Mention { is_everything: true, is_in_call: true, ..Mention::default() });
        }
        self.calls += usize::from(!is_harmless);
        if let Expr::Name(name) = expression {
            self.found.push(Mention {
                name: name.id.to_string(),
                is_assigned: !name.ctx.is_load(),
                is_in_call: self.calls > 0 || !name.ctx.is_load(),
                ..Mention::default()
            });
        }
        walk_expr(self, expression);
        self.calls -= usize::from(!is_harmless);
    }
}
