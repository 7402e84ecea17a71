//! The original's Python module, read as data: no Python runs, and none is needed.
//!
//! Read are literals, names assigned earlier in the file, the environment (`os.environ["X"]`, `os.environ.get("X")`,
//! `os.getenv("X")`), `int`, `float` and `str` of such, and texts put together from such (`+`, `%`, `.format`, f-strings).
//! A name that cannot be read does no harm until the settings use it; then the error points at the place and says that
//! the Python package can run the module. Nothing is guessed.

mod depth;
mod format;
mod mentions;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use ruff_python_ast::{
    self as ast, ConversionFlag, Expr, FStringPart, InterpolatedStringElement, Number, Operator, Stmt, UnaryOp,
};
use ruff_text_size::{Ranged, TextRange};
use serde_json::Value;

use self::{
    format::{as_python_text, brace_format, percent_format},
    mentions::{Mention, mentions},
};
use super::{
    error::Finding,
    tree::{Content, DEEPEST_LEVELS, Document, Key, LONGEST_TEXT_BYTES, MOST_NODES, Node, Span},
};
use crate::environment::Environment;

/// The name of the settings in the original's modules.
pub const SETTINGS_NAME: &str = "AUTOSCALE_SETTINGS";

/// The way out when something cannot be read.
const WAY_OUT: &str = "literals, names assigned earlier in the file, os.environ, and texts made of these; the Python package \
                       of autoscalebot can run any Python";

/// Every name that the module assigns, as one table; what cannot be read is in it as [`Content::Unread`].
///
/// # Errors
/// When it is not Python.
pub fn parse(document: &Document, environment: &Environment) -> Result<Node, Finding> {
    depth::check(&document.text)?;
    // The parser and everything that walks its tree recurse; the check bounds how deep, and this is room for it.
    depth::with_room(|| read(document, environment))?
}

fn read(document: &Document, environment: &Environment) -> Result<Node, Finding> {
    let module = ruff_python_parser::parse_module(&document.text).map_err(|error| {
        let found = format!("this is not Python: {}", error.error);
        Finding::new(span(error.location), "", found, "a Python module that assigns AUTOSCALE_SETTINGS")
    })?;
    let mut reader = Reader {
        environment,
        names: BTreeMap::new(),
        shared: BTreeMap::new(),
        functions: BTreeMap::new(),
        copied: Cell::new(0),
    };
    for statement in module.suite() {
        reader.statement(statement);
    }
    let entries = reader.names.into_iter().map(|(name, (span, node))| (Key { name, span }, node));
    Ok(Node::new(Content::Table(entries.collect()), 0..document.text.len()))
}

fn span(range: TextRange) -> Span {
    Span { start: range.start().to_usize(), end: range.end().to_usize() }
}

struct Reader<'a> {
    environment: &'a Environment,
    /// Each name with the place of its last assignment and its value.
    names: BTreeMap<String, (Span, Node)>,
    /// Names whose lists and tables are parts of each other: a change of one is a change of all. Both ways round.
    shared: BTreeMap<String, BTreeSet<String>>,
    /// What each function of the module mentions, for when somebody calls it.
    functions: BTreeMap<String, Vec<Mention>>,
    /// Values and pieces of text that were copied so far; names that repeat each other multiply.
    copied: Cell<usize>,
}

impl Reader<'_> {
    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Assign(assign) => {
                let value = self.value(&assign.value);
                self.spoil_by_calls(&assign.value);
                for target in &assign.targets {
                    self.assign(target, &assign.value, value.clone());
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(expression) = &assign.value {
                    let value = self.value(expression);
                    self.spoil_by_calls(expression);
                    self.assign(&assign.target, expression, value);
                }
            }
            Stmt::FunctionDef(function) => {
                let mut mentioned = mentions(statement);
                // What it assigns is its own, unless it says `global`.
                mentioned.iter_mut().for_each(|mention| mention.is_assigned &= mention.is_global);
                self.functions.insert(function.name.to_string(), mentioned);
            }
            // Nothing of these changes a name that we know.
            Stmt::Pass(_) | Stmt::ClassDef(_) => {}
            Stmt::Expr(expression) => self.spoil_by_calls(&expression.value),
            Stmt::Import(_) | Stmt::ImportFrom(_) => {
                self.spoil(mentions(statement), statement.range(), "may come from another module");
            }
            other => self.spoil(mentions(other), other.range(), "is changed by a statement that only Python can run"),
        }
    }

    fn assign(&mut self, target: &Expr, expression: &Expr, value: Node) {
        let Expr::Name(name) = target else {
            return self.spoil(mentions(target), target.range(), "is changed after it was assigned");
        };
        let (size, depth) = value.size_and_depth();
        let value = if size > MOST_NODES || depth > DEEPEST_LEVELS {
            refuse(target.range(), "more values, or deeper ones, than any settings have")
        } else {
            value
        };
        let name_text = name.id.to_string();
        // A new value is no part of what the old one belonged to.
        for other in self.shared.remove(&name_text).unwrap_or_default() {
            if let Some(others) = self.shared.get_mut(&other) {
                others.remove(&name_text);
            }
        }
        if !matches!(value.content, Content::Scalar(_)) {
            let mut parts = mentions(expression);
            parts.retain(|part| part.name != name_text && !self.is_fixed(&part.name));
            for part in parts {
                self.shared.entry(part.name.clone()).or_default().insert(name_text.clone());
                self.shared.entry(name_text.clone()).or_default().insert(part.name);
            }
        }
        self.functions.remove(&name_text);
        self.names.insert(name_text, (span(name.range), value));
    }

    /// A text or a number only changes when its name is assigned; a list or a table also through any call.
    fn is_fixed(&self, name: &str) -> bool {
        self.names.get(name).is_none_or(|(_, node)| matches!(node.content, Content::Scalar(_)))
    }

    /// `x = WEB.pop('a')` changes WEB as well as x.
    fn spoil_by_calls(&mut self, expression: &Expr) {
        let mentioned: Vec<Mention> = mentions(expression).into_iter().filter(|mention| mention.is_in_call).collect();
        self.spoil(mentioned, expression.range(), "may be changed by a call that only Python can make");
    }

    /// Something may change these names in ways that only Python knows: they become unreadable, the others stay.
    fn spoil(&mut self, mut mentioned: Vec<Mention>, range: TextRange, how: &str) {
        let (mut seen, mut called) = (BTreeSet::new(), BTreeSet::new());
        while let Some(mention) = mentioned.pop() {
            let Mention { name, is_assigned, .. } = mention;
            if let Some(inner) = self.functions.get(&name)
                && called.insert(name.clone())
            {
                mentioned.extend(inner.iter().cloned());
            }
            if mention.is_everything {
                mentioned.extend(self.names.keys().map(|name| Mention::assigned(name)));
            }
            if self.is_fixed(&name) && !is_assigned {
                continue;
            }
            // Reassigning a name changes no other; changing what it stands for does.
            if let Some(others) = self.shared.get(&name).filter(|_| !self.is_fixed(&name)) {
                for other in others.iter().filter(|other| !seen.contains(*other)) {
                    mentioned.push(Mention::assigned(other));
                }
            }
            if seen.insert(name.clone()) {
                let finding = refuse(range, &format!("{name} {how}"));
                self.names.insert(name, (span(range), finding));
            }
        }
    }

    fn value(&self, expression: &Expr) -> Node {
        let range = expression.range();
        let scalar = |value: Value| Node::new(Content::Scalar(value), span(range));
        match expression {
            Expr::StringLiteral(text) => scalar(Value::String(text.value.to_str().to_owned())),
            Expr::NumberLiteral(number) => {
                number_of(&number.value).map_or_else(|| refuse(range, "a number that is too large"), scalar)
            }
            Expr::BooleanLiteral(boolean) => scalar(Value::Bool(boolean.value)),
            Expr::NoneLiteral(_) => scalar(Value::Null),
            Expr::List(list) => self.list(&list.elts, range),
            Expr::Tuple(tuple) => self.list(&tuple.elts, range),
            Expr::Dict(dict) => self.dict(dict),
            Expr::Name(name) => match self.names.get(name.id.as_str()) {
                Some((_, node)) => self.copy(node, range),
                None => refuse(range, &format!("the name {} is not assigned before this line", name.id)),
            },
            Expr::UnaryOp(unary) => self.unary(unary),
            Expr::BinOp(binary) => self.binary(binary),
            Expr::FString(text) => self.f_string(text),
            Expr::Subscript(subscript) if is_environ(&subscript.value) => self.variable(&subscript.slice, None, range),
            Expr::Call(call) => self.call(call),
            _ => refuse(range, "an expression that only Python can evaluate"),
        }
    }

    /// What a name stands for, as long as copies do not fill the memory.
    fn copy(&self, node: &Node, range: TextRange) -> Node {
        self.copied.set(self.copied.get() + node.size_and_depth().0);
        if self.copied.get() > MOST_NODES {
            return refuse(range, "more values than any settings have");
        }
        node.clone()
    }

    fn list(&self, items: &[Expr], range: TextRange) -> Node {
        Node::new(Content::List(items.iter().map(|item| self.value(item)).collect()), span(range))
    }

    fn dict(&self, dict: &ast::ExprDict) -> Node {
        let mut entries = Vec::new();
        for item in &dict.items {
            let Some(key) = &item.key else {
                return refuse(item.value.range(), "a dictionary unpacked with **");
            };
            let name = match self.value(key).content {
                Content::Scalar(Value::String(text)) => text,
                Content::Scalar(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                Content::Unread(finding) => return Node::unread(*finding),
                _ => return refuse(key.range(), "a key that is not a text"),
            };
            entries.push((Key { name, span: span(key.range()) }, self.value(&item.value)));
        }
        Node::new(Content::Table(entries), span(dict.range))
    }

    fn unary(&self, unary: &ast::ExprUnaryOp) -> Node {
        let operand = self.value(&unary.operand);
        let number = match (&unary.op, &operand.content) {
            (_, Content::Unread(_)) => return operand,
            (UnaryOp::UAdd, Content::Scalar(Value::Number(number))) => Some(Value::Number(number.clone())),
            (UnaryOp::USub, Content::Scalar(Value::Number(number))) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => whole.checked_neg().map(Value::from),
                (None, Some(float)) => Some(Value::from(-float)),
                (None, None) => None,
            },
            (UnaryOp::Not, Content::Scalar(Value::Bool(boolean))) => Some(Value::Bool(!boolean)),
            _ => None,
        };
        let refused = || refuse(unary.range, "an expression that only Python can evaluate");
        number.map_or_else(refused, |value| Node::new(Content::Scalar(value), span(unary.range)))
    }

    fn binary(&self, binary: &ast::ExprBinOp) -> Node {
        let (left, right) = (self.value(&binary.left), self.value(&binary.right));
        for side in [&left, &right] {
            if let Content::Unread(_) = side.content {
                return side.clone();
            }
        }
        match (binary.op, left.as_text()) {
            (Operator::Add, Some(text)) if right.as_text().is_some() => {
                let text = format!("{text}{}", right.as_text().unwrap_or_default());
                self.text(text, &[&left, &right], binary.range)
            }
            (Operator::Mod, Some(pattern)) => {
                let arguments = match &right.content {
                    Content::List(items) => items.iter().collect(),
                    _ => vec![&right],
                };
                match percent_format(pattern, &arguments) {
                    Some(text) => self.text(text, &[&left, &right], binary.range),
                    None => refuse(binary.range, "a % format beyond %s and %d with matching values"),
                }
            }
            _ => refuse(binary.range, "arithmetic, which only Python can do here"),
        }
    }

    fn f_string(&self, f_string: &ast::ExprFString) -> Node {
        let (mut text, mut parts) = (String::new(), Vec::new());
        for part in f_string.value.iter() {
            match part {
                FStringPart::Literal(literal) => text.push_str(literal.as_str()),
                FStringPart::FString(inner) => {
                    for element in inner.elements.iter() {
                        match element {
                            InterpolatedStringElement::Literal(literal) => text.push_str(&literal.value),
                            InterpolatedStringElement::Interpolation(hole) => {
                                let plain = hole.format_spec.is_none()
                                    && hole.debug_text.is_none()
                                    && matches!(hole.conversion, ConversionFlag::None | ConversionFlag::Str);
                                let value = self.value(&hole.expression);
                                match (&value.content, plain.then(|| as_python_text(&value)).flatten()) {
                                    (Content::Unread(_), _) => return value,
                                    (_, Some(shown)) => text.push_str(&shown),
                                    _ => return refuse(hole.range, "an f-string beyond plain {name}"),
                                }
                                parts.push(value);
                            }
                        }
                    }
                }
            }
        }
        self.text(text, &parts.iter().collect::<Vec<_>>(), f_string.range)
    }

    fn call(&self, call: &ast::ExprCall) -> Node {
        let range = call.range();
        let arguments = &call.arguments;
        let other = || refuse(range, "a call that only Python can make");
        if let Expr::Attribute(attribute) = &*call.func
            && attribute.attr.as_str() == "format"
        {
            return self.format(&attribute.value, arguments, range);
        }
        if !arguments.keywords.is_empty() {
            return other();
        }
        let is_variable = match &*call.func {
            Expr::Attribute(attribute) => {
                (attribute.attr.as_str() == "get" && is_environ(&attribute.value))
                    || (attribute.attr.as_str() == "getenv" && is_name(&attribute.value, "os"))
            }
            Expr::Name(name) => name.id.as_str() == "getenv",
            _ => false,
        };
        match (&*call.func, &*arguments.args) {
            (_, [name]) if is_variable => {
                let nothing = Node::new(Content::Scalar(Value::Null), span(range));
                self.variable(name, Some(nothing), range)
            }
            (_, [name, default]) if is_variable => self.variable(name, Some(self.value(default)), range),
            (Expr::Name(function), [argument]) => self.convert(function.id.as_str(), self.value(argument), range),
            _ => other(),
        }
    }

    /// `int(…)`, `float(…)` and `str(…)`.
    fn convert(&self, function: &str, argument: Node, range: TextRange) -> Node {
        let text = match (&argument.content, as_python_text(&argument)) {
            (Content::Unread(_), _) => return argument,
            (_, Some(text)) => text,
            _ => return refuse(range, "a call that only Python can make"),
        };
        let value = match function {
            "int" => text.trim().parse::<i64>().ok().map(Value::from),
            "float" => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            "str" => Some(Value::String(text)),
            _ => return refuse(range, "a call that only Python can make"),
        };
        match value {
            Some(value) => Node { environment: argument.environment, ..Node::new(Content::Scalar(value), span(range)) },
            None => {
                let whence = argument.environment.first().map(|name| format!(" (from ${name})")).unwrap_or_default();
                refuse(range, &format!("{function}() of a text that is not a number{whence}"))
            }
        }
    }

    fn format(&self, pattern: &Expr, arguments: &ast::Arguments, range: TextRange) -> Node {
        let pattern = self.value(pattern);
        let positional: Vec<Node> = arguments.args.iter().map(|argument| self.value(argument)).collect();
        let named: Vec<(Option<&str>, Node)> = arguments
            .keywords
            .iter()
            .map(|keyword| (keyword.arg.as_ref().map(|name| name.as_str()), self.value(&keyword.value)))
            .collect();
        let all = || std::iter::once(&pattern).chain(&positional).chain(named.iter().map(|(_, node)| node));
        if let Some(unread) = all().find(|node| matches!(node.content, Content::Unread(_))) {
            return unread.clone();
        }
        let text = pattern.as_text().and_then(|text| brace_format(text, &positional, &named));
        match text {
            Some(text) => self.text(text, &all().collect::<Vec<_>>(), range),
            None => refuse(range, "a format beyond plain {}, {0} and {name} with matching values"),
        }
    }

    fn variable(&self, name: &Expr, default: Option<Node>, range: TextRange) -> Node {
        let name = match self.value(name) {
            Node { content: Content::Scalar(Value::String(name)), .. } => name,
            node @ Node { content: Content::Unread(_), .. } => return node,
            _ => return refuse(range, "an environment variable whose name is not a text"),
        };
        match (self.environment.get(&name), default) {
            (Some(value), _) => Node { environment: vec![name], ..Node::text(value, span(range)) },
            (None, Some(default)) => default,
            (None, None) => Node::unread(Finding::new(
                span(range),
                "",
                format!("the environment variable {name} is not set"),
                format!("{name} to be set, or a default with os.environ.get"),
            )),
        }
    }

    fn text(&self, text: String, parts: &[&Node], range: TextRange) -> Node {
        // A text weighs as much as the values that would take its room.
        self.copied.set(self.copied.get() + text.len() / size_of::<Node>());
        if text.len() > LONGEST_TEXT_BYTES || self.copied.get() > MOST_NODES {
            return refuse(range, "a text longer than any setting");
        }
        let environment: BTreeSet<&String> = parts.iter().flat_map(|part| &part.environment).collect();
        Node { environment: environment.into_iter().cloned().collect(), ..Node::text(text, span(range)) }
    }
}

fn refuse(range: TextRange, what: &str) -> Node {
    Node::unread(Finding::new(span(range), "", format!("this cannot be read as data: {what}"), WAY_OUT))
}

fn is_name(expression: &Expr, wanted: &str) -> bool {
    matches!(expression, Expr::Name(name) if name.id.as_str() == wanted)
}

/// `os.environ`, or `environ` after `from os import environ`.
fn is_environ(expression: &Expr) -> bool {
    match expression {
        Expr::Attribute(attribute) => attribute.attr.as_str() == "environ" && is_name(&attribute.value, "os"),
        other => is_name(other, "environ"),
    }
}

fn number_of(number: &Number) -> Option<Value> {
    match number {
        Number::Int(whole) => whole.as_i64().map(Value::from),
        Number::Float(float) => float.is_finite().then(|| Value::from(*float)),
        Number::Complex { .. } => None,
    }
}
