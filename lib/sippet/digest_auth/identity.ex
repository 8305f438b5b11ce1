defmodule Sippet.DigestAuth.Identity do
  @moduledoc """
  Who has sent a request, as `Sippet.DigestAuth.Server.verify/2` found it.

    * `:username` - the name; that of the credentials, unless the callback gave another
    * `:realm` - the realm
    * `:data` - what the callback gave besides the secret, or `nil`
    * `:algorithm`, `:qop`, `:nonce`, `:nc`, `:cnonce`, `:uri` - of the credentials, `nil` where they have none

  The key that Authentication-Info is made with is in it too, and not shown by `inspect/2`.
  """

  @derive {Inspect, except: [:key]}
  @enforce_keys [:username, :realm, :algorithm, :qop, :nonce, :nc, :cnonce, :uri]
  defstruct @enforce_keys ++ [:data, :key]

  @typedoc "See the module."
  @type t :: %__MODULE__{
          username: String.t(),
          realm: String.t(),
          data: term,
          algorithm: String.t(),
          qop: String.t() | nil,
          nonce: String.t(),
          nc: String.t() | nil,
          cnonce: String.t() | nil,
          uri: String.t(),
          key: String.t() | nil
        }
end
