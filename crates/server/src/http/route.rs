//! The one route table: every address the server answers, with its guard, and nothing else decides.
//!
//! Patterns are literals, `{name}` (one segment, not empty), `{name?}` (one segment that may be empty or absent: Key
//! Vault's "latest version", which clients write as `/keys/k/`, `/keys/k//sign` or `/keys/k/sign`) and a leading `{scope*}` (any ARM scope, the root included).
//! Literals beat parameters from left to right, so Azure's fixed words (`restore`, `versions`, `issuers`) are found
//! before names; a name equal to a fixed word is still reachable with a method that the fixed word does not have.

use std::borrow::Cow;

use http::Method;
use vouchsafe_wire::path::{BadUri, Segments};

/// Which of Azure's services, or of ours, an address belongs to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Plane {
    /// The token service: Entra's endpoints.
    Entra,
    /// The data plane of one vault.
    KeyVault,
    /// Azure Resource Manager.
    Arm,
    /// Health, metrics and cloud metadata.
    Operations,
    /// Our own administration, on the local socket.
    Admin,
    /// What node agents say to the server.
    Node,
    /// Microsoft Graph.
    Graph,
    /// What authorities in vaults publish for everybody: certificates, revocation lists, OCSP.
    Pki,
}

impl Plane {
    /// Every plane, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Entra,
        Self::KeyVault,
        Self::Arm,
        Self::Operations,
        Self::Admin,
        Self::Node,
        Self::Graph,
        Self::Pki,
    ];

    /// The plane's name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::KeyVault => "keyvault",
            Self::Arm => "arm",
            Self::Operations => "operations",
            Self::Admin => "admin",
            Self::Node => "node",
            Self::Graph => "graph",
            Self::Pki => "pki",
        }
    }

    /// Resource Manager's addresses ignore case; nobody else's do.
    fn same_literal(self, literal: &str, segment: &str) -> bool {
        match self {
            Self::Arm => literal.eq_ignore_ascii_case(segment),
            _ => literal == segment,
        }
    }
}

/// What a caller must show before a route's handler does anything.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Guard {
    /// Nothing: the answer is public. The list of these routes is a golden file.
    None,
    /// A bearer token of this server's tenants.
    Bearer,
    /// A process of an allowed user on this machine, as the kernel tells.
    KernelPeer,
    /// Client authentication inside the request, as at the token endpoint.
    ClientAuthentication,
}

/// One row of the table.
pub struct Route<H> {
    /// The service it belongs to.
    pub plane: Plane,
    /// The only method of this row.
    pub method: Method,
    /// The path, as described at the top of this file.
    pub pattern: &'static str,
    /// The name in metrics, logs and tests; never the path.
    pub name: &'static str,
    /// What the caller must show.
    pub guard: Guard,
    /// What answers.
    pub handler: H,
}

impl<H> Route<H> {
    /// Paths that must resolve to this row: one for each way its parameters may be written.
    pub fn samples(&self) -> Vec<String> {
        let pieces = parse_pattern(self.pattern).unwrap_or_default();
        let mut samples = vec![String::new()];
        for (index, piece) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let ways: &[&str] = match piece {
                Piece::Literal(literal) => &[literal],
                Piece::Required(_) => &["sample"],
                Piece::Optional(_) => &["sample", ""],
                Piece::Scope(_) => &["subscriptions/sample", "subscriptions/sample/resourceGroups/sample"],
            };
            let mut longer = Vec::new();
            for sample in &samples {
                longer.extend(ways.iter().map(|way| format!("{sample}/{way}")));
                match piece {
                    Piece::Optional(_) if last => longer.push(sample.clone()),
                    Piece::Scope(_) => longer.push(sample.clone()),
                    _ => {}
                }
            }
            samples = longer;
        }
        for sample in &mut samples {
            if sample.is_empty() {
                sample.push('/');
            }
        }
        samples
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Piece {
    Literal(&'static str),
    Required(&'static str),
    Optional(&'static str),
    Scope(&'static str),
}

fn parse_pattern(pattern: &'static str) -> Result<Vec<Piece>, &'static str> {
    if let Some(rest) = pattern.strip_prefix("{scope*}/") {
        let mut pieces = vec![Piece::Scope("scope")];
        pieces.extend(parse_pieces(rest)?);
        let literals = pieces.iter().filter(|piece| matches!(piece, Piece::Literal(_))).count();
        return if literals >= 2 {
            Ok(pieces)
        } else {
            Err("a scope must be followed by at least two literals")
        };
    }
    let rest = pattern.strip_prefix('/').ok_or("a pattern begins with a slash or with `{scope*}/`")?;
    if rest.is_empty() { Ok(Vec::new()) } else { parse_pieces(rest) }
}

fn parse_pieces(rest: &'static str) -> Result<Vec<Piece>, &'static str> {
    rest.split('/')
        .map(|segment| {
            let inner = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
            let (piece, word) = match inner {
                None => (Piece::Literal(segment), segment),
                Some(inner) => match inner.strip_suffix('?') {
                    Some(name) => (Piece::Optional(name), name),
                    None => (Piece::Required(inner), inner),
                },
            };
            let clean =
                !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.$".contains(&b));
            if clean { Ok(piece) } else { Err("a segment is a literal, `{name}` or `{name?}`") }
        })
        .collect()
}

/// Why a table cannot be built: a mistake of ours, found by the first test that builds it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TableError {
    /// A pattern that does not follow the grammar.
    #[error("route `{name}`: {problem}")]
    Pattern {
        /// The row's name.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two rows that some path matches equally well.
    #[error("routes `{0}` and `{1}` match the same path equally well")]
    Ambiguous(&'static str, &'static str),
    /// Two rows with one name.
    #[error("two routes are named `{0}`")]
    Name(&'static str),
}

/// What the parameters of a pattern matched, decoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// A parameter's text; empty when it was empty or the pattern has none of that name.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(given, _)| *given == name).map_or("", |(_, value)| value)
    }
}

/// What a path and a method lead to.
pub enum Resolution<'t, H> {
    /// Exactly one row.
    Found(&'t Route<H>, Params),
    /// The path exists, but not with this method.
    MethodNotAllowed(Vec<Method>),
    /// No row has such a path.
    NotFound,
}

#[derive(Default)]
struct Node {
    literals: Vec<(&'static str, usize)>,
    parameter: Option<usize>,
    endings: Vec<usize>,
}

struct Row<H> {
    route: Route<H>,
    pieces: Vec<Piece>,
}

impl<H> Row<H> {
    /// Binds parameters by position; `None` when an empty segment meets a parameter that must not be empty.
    fn bind(&self, segments: &[Cow<'_, str>]) -> Option<Params> {
        let mut params = Vec::new();
        let mut rest = segments;
        for (index, piece) in self.pieces.iter().enumerate() {
            if let Piece::Scope(name) = piece {
                let split = segments.len().checked_sub(self.pieces.len() - 1 - index)?;
                let (scope, after) = segments.split_at_checked(split)?;
                if scope.iter().any(|segment| segment.is_empty()) {
                    return None;
                }
                params.push((*name, format!("/{}", scope.join("/"))));
                rest = after;
                continue;
            }
            let absent = rest.len() < self.pieces.len() - index;
            if let (Piece::Optional(name), true) = (piece, absent) {
                params.push((*name, String::new()));
                continue;
            }
            let segment = rest.split_first().map(|(first, after)| {
                rest = after;
                first.as_ref()
            });
            match (piece, segment) {
                (Piece::Required(name), Some(segment)) if !segment.is_empty() => {
                    params.push((*name, segment.to_owned()));
                }
                (Piece::Optional(name), Some(segment)) => params.push((*name, segment.to_owned())),
                (Piece::Literal(_), Some(_)) => {}
                _ => return None,
            }
        }
        Some(Params(params))
    }
}

/// The compiled table.
pub struct Table<H> {
    rows: Vec<Row<H>>,
    nodes: Vec<Node>,
    /// One root per plane, in the order of [`Plane::ALL`].
    roots: Vec<(Plane, usize)>,
    /// Rows that begin with a scope, most specific first.
    scoped: Vec<usize>,
}

impl<H> Table<H> {
    /// Compiles rows; refuses patterns that are malformed or ambiguous.
    pub fn new(routes: impl IntoIterator<Item = Route<H>>) -> Result<Self, TableError> {
        let mut table = Self { rows: Vec::new(), nodes: Vec::new(), roots: Vec::new(), scoped: Vec::new() };
        for plane in Plane::ALL {
            table.roots.push((plane, table.nodes.len()));
            table.nodes.push(Node::default());
        }
        for route in routes {
            table.add(route)?;
        }
        let rows = &table.rows;
        table.scoped.sort_by_key(|index| {
            let pieces = rows.get(*index).map(|row| row.pieces.as_slice()).unwrap_or_default();
            let literals = pieces.iter().filter(|piece| matches!(piece, Piece::Literal(_))).count();
            (std::cmp::Reverse(pieces.len()), std::cmp::Reverse(literals))
        });
        table.check_scoped()?;
        Ok(table)
    }

    /// Every row, in the order given.
    pub fn routes(&self) -> impl Iterator<Item = &Route<H>> {
        self.rows.iter().map(|row| &row.route)
    }

    fn add(&mut self, route: Route<H>) -> Result<(), TableError> {
        let name = route.name;
        if self.rows.iter().any(|row| row.route.name == name) {
            return Err(TableError::Name(name));
        }
        let pieces = parse_pattern(route.pattern).map_err(|problem| TableError::Pattern { name, problem })?;
        let (plane, method) = (route.plane, route.method.clone());
        let index = self.rows.len();
        let scoped = matches!(pieces.first(), Some(Piece::Scope(_)));
        self.rows.push(Row { route, pieces: pieces.clone() });
        if scoped {
            self.scoped.push(index);
            return Ok(());
        }
        let mut nodes = vec![self.root(plane)];
        for piece in pieces {
            let absent = if matches!(piece, Piece::Optional(_)) { nodes.clone() } else { Vec::new() };
            for node in &mut nodes {
                *node = self.step(*node, plane, piece);
            }
            nodes.extend(absent);
        }
        nodes.into_iter().try_for_each(|node| self.end(node, index, &method))
    }

    fn root(&self, plane: Plane) -> usize {
        self.roots.iter().find(|(given, _)| *given == plane).map_or(0, |(_, node)| *node)
    }

    fn step(&mut self, from: usize, plane: Plane, piece: Piece) -> usize {
        let next = self.nodes.len();
        let node = &mut self.nodes[from];
        match piece {
            Piece::Literal(literal) => {
                if let Some((_, found)) =
                    node.literals.iter().find(|(given, _)| plane.same_literal(given, literal))
                {
                    return *found;
                }
                node.literals.push((literal, next));
            }
            _ => {
                if let Some(found) = node.parameter {
                    return found;
                }
                node.parameter = Some(next);
            }
        }
        self.nodes.push(Node::default());
        next
    }

    fn end(&mut self, node: usize, index: usize, method: &Method) -> Result<(), TableError> {
        let name = |index: usize| self.rows[index].route.name;
        for other in &self.nodes[node].endings {
            if self.rows[*other].route.method == *method {
                return Err(TableError::Ambiguous(name(*other), name(index)));
            }
        }
        self.nodes[node].endings.push(index);
        Ok(())
    }

    /// A row with a scope wins over rows without; here we make sure that it never hides one that says the same.
    fn check_scoped(&self) -> Result<(), TableError> {
        for scoped in &self.scoped {
            let row = &self.rows[*scoped];
            let tail = &row.pieces[1..];
            for (index, other) in self.rows.iter().enumerate() {
                let (a, b) = (&row.route, &other.route);
                if index == *scoped || a.plane != b.plane || a.method != b.method {
                    continue;
                }
                let other_scoped = self.scoped.contains(&index);
                let pieces = if other_scoped { &other.pieces[1..] } else { &other.pieces[..] };
                if pieces.len() < tail.len() || (other_scoped && pieces.len() != tail.len()) {
                    continue;
                }
                let aligned = pieces[pieces.len() - tail.len()..].iter().zip(tail);
                let mut hidden = true;
                let mut unlike = false;
                for (theirs, ours) in aligned {
                    match (theirs, ours) {
                        (Piece::Literal(x), Piece::Literal(y)) => unlike |= !a.plane.same_literal(x, y),
                        (Piece::Literal(_), _) | (_, Piece::Literal(_)) if other_scoped => {}
                        (_, Piece::Literal(_)) => hidden = false,
                        _ => {}
                    }
                }
                if hidden && !unlike {
                    return Err(TableError::Ambiguous(a.name, b.name));
                }
            }
        }
        Ok(())
    }

    /// Finds the row for a method and a raw path.
    pub fn resolve(&self, plane: Plane, method: &Method, path: &str) -> Result<Resolution<'_, H>, BadUri> {
        let parsed = Segments::parse(path)?;
        let mut segments = parsed.as_slice();
        if plane == Plane::Arm {
            // SDKs join an id that begins with a slash to a base that ends with one.
            while let [first, rest @ ..] = segments
                && first.is_empty()
            {
                segments = rest;
            }
        }
        let mut search = Search { method, segments, allow: Vec::new(), found: None };
        for index in &self.scoped {
            if let Some(row) = self.rows.get(*index).filter(|row| row.route.plane == plane)
                && tail_matches(plane, &row.pieces, segments)
                && search.offer(*index, row)
            {
                break;
            }
        }
        if search.found.is_none() {
            self.walk(self.root(plane), plane, segments, &mut search);
        }
        Ok(match search.found.and_then(|(index, params)| Some((self.rows.get(index)?, params))) {
            Some((row, params)) => Resolution::Found(&row.route, params),
            None if search.allow.is_empty() => Resolution::NotFound,
            None => Resolution::MethodNotAllowed(search.allow),
        })
    }

    /// Depth first, literals before parameters; bounded by the table's size and the path's segments.
    fn walk(&self, node: usize, plane: Plane, rest: &[Cow<'_, str>], search: &mut Search<'_>) -> bool {
        let Some(node) = self.nodes.get(node) else { return false };
        let Some((segment, rest)) = rest.split_first() else {
            return node
                .endings
                .iter()
                .any(|index| self.rows.get(*index).is_some_and(|row| search.offer(*index, row)));
        };
        for (literal, next) in &node.literals {
            if plane.same_literal(literal, segment) && self.walk(*next, plane, rest, search) {
                return true;
            }
        }
        node.parameter.is_some_and(|next| self.walk(next, plane, rest, search))
    }
}

struct Search<'a> {
    method: &'a Method,
    segments: &'a [Cow<'a, str>],
    allow: Vec<Method>,
    found: Option<(usize, Params)>,
}

impl Search<'_> {
    /// Takes a row whose literals match, or remembers its method for `Allow`.
    fn offer<H>(&mut self, index: usize, row: &Row<H>) -> bool {
        let Some(params) = row.bind(self.segments) else { return false };
        if row.route.method == *self.method {
            self.found = Some((index, params));
            return true;
        }
        if !self.allow.contains(&row.route.method) {
            self.allow.push(row.route.method.clone());
        }
        false
    }
}

fn tail_matches(plane: Plane, pieces: &[Piece], segments: &[Cow<'_, str>]) -> bool {
    let tail = pieces.get(1..).unwrap_or_default();
    let Some(segments) = segments.len().checked_sub(tail.len()).and_then(|start| segments.get(start..))
    else {
        return false;
    };
    tail.iter().zip(segments).all(|(piece, segment)| match piece {
        Piece::Literal(literal) => plane.same_literal(literal, segment),
        _ => true,
    })
}

#[cfg(test)]
mod tests;
