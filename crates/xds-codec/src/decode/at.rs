//! Where in a message the decoder is, and what it found wrong there.

use std::cell::RefCell;
use std::fmt::Write as _;

use crate::Problem;

/// More problems than this are not reported one by one: a hostile message must not cost memory.
const MAX_PROBLEMS: usize = 64;

/// Collects what is wrong. A decoder that reports a problem may return any placeholder: the
/// result is thrown away if there is one problem or more.
#[derive(Default)]
pub(crate) struct Sink {
    problems: RefCell<Vec<Problem>>,
    ignored: RefCell<Vec<Problem>>,
}

impl Sink {
    /// By path: maps are unordered, and reports should not differ from run to run.
    pub fn problems(self) -> Vec<Problem> {
        sorted(self.problems)
    }

    /// Adds what another one collected.
    #[cfg(feature = "json")]
    pub fn add(&self, other: Sink) {
        self.problems.borrow_mut().append(&mut other.problems.into_inner());
        self.ignored.borrow_mut().append(&mut other.ignored.into_inner());
    }

    /// The problems, and what has no effect here but does no harm.
    #[cfg(feature = "json")]
    pub fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        (sorted(self.problems), sorted(self.ignored))
    }
}

fn sorted(list: RefCell<Vec<Problem>>) -> Vec<Problem> {
    let mut list = list.into_inner();
    list.sort();
    list.dedup();
    list
}

/// A place in a message: a list of steps on the stack, turned into text only for a problem.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
    sink: &'a Sink,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(&'a str, usize),
    Key(&'a str, &'a str),
}

impl<'a> At<'a> {
    pub fn root(sink: &'a Sink) -> Self {
        At { parent: None, step: Step::Root, sink }
    }

    /// `name`, as it is called in the `.proto`.
    pub fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        self.step(Step::Field(name))
    }

    /// `name[index]`.
    pub fn index<'b>(&'b self, name: &'b str, index: usize) -> At<'b> {
        self.step(Step::Index(name, index))
    }

    /// `name["key"]`.
    pub fn key<'b>(&'b self, name: &'b str, key: &'b str) -> At<'b> {
        self.step(Step::Key(name, key))
    }

    fn step<'b>(&'b self, step: Step<'b>) -> At<'b> {
        At { parent: Some(self), step, sink: self.sink }
    }

    /// How many problems there are so far, wherever; counted up to a limit.
    #[cfg(feature = "json")]
    pub fn problems(&self) -> usize {
        self.sink.problems.borrow().len()
    }

    /// Something here cannot be honoured.
    pub fn refuse(&self, message: impl Into<String>) {
        self.report(&self.sink.problems, message.into());
    }

    /// Something here has no effect, which does no harm but may surprise.
    pub fn ignored(&self, message: impl Into<String>) {
        self.report(&self.sink.ignored, message.into());
    }

    /// The field `name` here is not supported.
    pub fn unsupported(&self, name: &str) {
        self.field(plain(name)).refuse("is not supported");
    }

    fn report(&self, list: &RefCell<Vec<Problem>>, message: String) {
        let mut list = list.borrow_mut();
        if list.len() < MAX_PROBLEMS {
            list.push(Problem { path: self.path().into(), message: message.into() });
        }
    }

    fn path(&self) -> String {
        let mut steps = Vec::new();
        let mut at = Some(self);
        while let Some(here) = at {
            steps.push(here.step);
            at = here.parent;
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            if !path.is_empty() {
                path.push('.');
            }
            let written = match step {
                Step::Root => Ok(()),
                Step::Field(name) => path.write_str(plain(name)),
                Step::Index(name, index) => write!(path, "{}[{index}]", plain(name)),
                Step::Key(name, key) => write!(path, "{}[{key:?}]", plain(name)),
            };
            debug_assert!(written.is_ok(), "writing to a String does not fail");
        }
        path
    }
}

/// A field's name as Rust writes it, without the mark of a keyword.
fn plain(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}
