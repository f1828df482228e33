//! The codes of findings about single objects. Where Istio's analysis has a code for the same
//! thing, that is used: see <https://istio.io/latest/docs/reference/config/analysis/>.

/// The text is not YAML, or not a Kubernetes object.
pub const SYNTAX: &str = "LTN0001";
/// Istio knows this field, and Lateen does nothing with it yet.
pub const NO_EFFECT: &str = "LTN0002";
/// A field that Istio does not know.
pub const UNKNOWN_FIELD: &str = "LTN0003";
/// Istio knows this kind, and Lateen does nothing with it yet.
pub const KIND_NO_EFFECT: &str = "LTN0004";
/// A kind in one of Istio's API groups that does not exist.
pub const UNKNOWN_KIND: &str = "LTN0005";
/// A kind that means nothing to a mesh.
pub const OTHER_KIND: &str = "LTN0006";
/// Larger, deeper or more than we read.
pub const LIMIT: &str = "LTN0007";
/// The same object is given more than once.
pub const DUPLICATE_OBJECT: &str = "LTN0008";
/// The value has an effect that its author may not expect.
pub const SURPRISE: &str = "LTN0009";
/// A file or folder cannot be read.
pub const UNREADABLE: &str = "LTN0010";
/// The last good version of an object stays in effect.
pub const KEPT: &str = "LTN0013";

/// Istio: `Deprecated`.
pub const DEPRECATED: &str = "IST0002";
/// Istio: `ReferencedResourceNotFound`.
pub const NOT_FOUND: &str = "IST0101";
/// Istio: `SchemaValidationError`.
pub const INVALID: &str = "IST0106";
/// Istio: `VirtualServiceUnreachableRule`.
pub const UNREACHABLE_RULE: &str = "IST0130";
/// Istio: `VirtualServiceIneffectiveMatch`.
pub const INEFFECTIVE_MATCH: &str = "IST0131";
/// Istio: `SchemaWarning`.
pub const SCHEMA_WARNING: &str = "IST0133";
/// Istio: `ConflictingMeshGatewayVirtualServiceHosts`.
pub const CONFLICTING_HOSTS: &str = "IST0109";

/// An access log's format has an operator that Envoy has not.
pub const LOG_OPERATOR: &str = "LTN0112";
