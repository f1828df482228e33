//! `message!` and `choice!`: a type, its schema and its reader from one definition.

/// A message: `pub struct` gives the type, its `MESSAGE` and its reader; `table NAME` gives the
/// schema alone, for a type that is read by hand because it keeps more than what was written.
///
/// A field is `"nameInYaml" name_in_rust: Type = schema,`; absent ones become the type's default.
/// `one_of [..]` names fields of which at most one may be present, `rules` what else must hold.
macro_rules! message {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])* $json:literal $field:ident : $ty:ty = $schema:expr, )*
        }
        $( one_of [$($alternative:literal),+ $(,)?]; )*
        $( rules $rules:expr; )?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $ty, )*
        }

        impl $name {
            pub(crate) const MESSAGE: $crate::schema::Message = $crate::schema::Message {
                about: concat!($($about),*),
                fields: &[$(
                    $crate::schema::Field {
                        name: $json,
                        about: concat!($($doc),*),
                        schema: $schema,
                    },
                )*],
                one_of: &[$(&[$($alternative),+]),*],
                rules: message!(@rules $($rules)?),
                conditions: false,
            };

            pub(crate) fn from_fields(fields: &$crate::reader::Fields<'_>) -> Self {
                Self { $( $field: $crate::reader::Absent::from_item(fields.get($json)), )* }
            }
        }

        impl $crate::reader::Read for $name {
            fn read(item: &$crate::reader::Item<'_>) -> Option<Self> {
                let fields = item.object()?;
                let value = Self::from_fields(&fields);
                fields.finish();
                Some(value)
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        table $name:ident {
            $( $(#[doc = $doc:literal])* $json:literal = $schema:expr, )*
        }
        $( one_of [$($alternative:literal),+ $(,)?]; )*
        $( rules $rules:expr; )?
        $( conditions $conditions:literal; )?
    ) => {
        $(#[doc = $about])*
        pub(crate) const $name: $crate::schema::Message = $crate::schema::Message {
            about: concat!($($about),*),
            fields: &[$(
                $crate::schema::Field {
                    name: $json,
                    about: concat!($($doc),*),
                    schema: $schema,
                },
            )*],
            one_of: &[$(&[$($alternative),+]),*],
            rules: message!(@rules $($rules)?),
            conditions: message!(@flag $($conditions)?),
        };
    };
    (@rules) => { &[] };
    (@rules $rules:expr) => { $rules };
    (@flag) => { false };
    (@flag $flag:literal) => { $flag };
}

/// An enumeration: its names in Istio's order, so that a name's position is its number in
/// protobuf. The first is the default.
macro_rules! choice {
    (
        $(#[doc = $about:literal])*
        pub enum $name:ident {
            $(#[doc = $first_doc:literal])* $first_json:literal $first:ident,
            $( $(#[doc = $doc:literal])* $json:literal $variant:ident, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = $first_doc])*
            #[default]
            $first,
            $( $(#[doc = $doc])* $variant, )*
        }

        impl $name {
            pub(crate) const NAMES: &'static [&'static str] = &[$first_json, $($json),*];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self {
                    Self::$first => $first_json,
                    $( Self::$variant => $json, )*
                }
            }
        }

        impl $crate::reader::Read for $name {
            fn read(item: &$crate::reader::Item<'_>) -> Option<Self> {
                item.one_of(&[($first_json, Self::$first), $(($json, Self::$variant)),*])
            }
        }
    };
}

pub(crate) use choice;
pub(crate) use message;
