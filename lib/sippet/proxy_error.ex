defmodule Sippet.ProxyError do
  @moduledoc """
  A request that a proxy does not forward, or a response that is not for it to forward.

    * `reason` - see `t:reason/0`
    * `status_code` - what the request earns; nil for a response
    * `header` - the header field at fault, or nil
    * `values` - for `:bad_extension` the option tags that are not understood, else `[]`

  `Sippet.Proxy.refuse/3` makes the response of it.
  """

  @typedoc """
    * `:malformed` - 400: the field in `header` is missing or cannot be read
    * `:not_found` - 404: the user is not known here (§16.5)
    * `:unsupported_scheme` - 416: the Request-URI has another scheme (§16.3, step 2)
    * `:bad_extension` - 420: Proxy-Require names what is not supported (§16.3, step 5)
    * `:max_breadth_exceeded` - 440: the request may have no branch more (RFC 5393 §5)
    * `:unavailable` - 480: the user is known and nowhere to be reached (§16.5)
    * `:loop` - 482: the request was here before, and nothing has changed (§16.3, step 4; RFC 5393 §4)
    * `:too_many_hops` - 483: Max-Forwards is 0 (§16.3, step 3)
    * `:no_via` - a response without a second Via is for this element itself (§16.7, step 3)
  """
  @type reason ::
          :malformed
          | :not_found
          | :unsupported_scheme
          | :bad_extension
          | :max_breadth_exceeded
          | :unavailable
          | :loop
          | :too_many_hops
          | :no_via

  @type t :: %__MODULE__{
          reason: reason,
          status_code: 400..499 | nil,
          header: Sippet.Message.header() | nil,
          values: [String.t()]
        }

  defexception [:reason, :status_code, :header, values: []]

  @status_codes %{
    malformed: 400,
    not_found: 404,
    unsupported_scheme: 416,
    bad_extension: 420,
    max_breadth_exceeded: 440,
    unavailable: 480,
    loop: 482,
    too_many_hops: 483,
    no_via: nil
  }

  @doc false
  @spec new(reason, keyword) :: t
  def new(reason, fields \\ []) do
    struct!(
      %__MODULE__{reason: reason, status_code: Map.fetch!(@status_codes, reason)},
      fields
    )
  end

  @impl true
  def message(%__MODULE__{reason: :malformed, header: header}),
    do: "#{header} is missing or cannot be read"

  def message(%__MODULE__{reason: :not_found}), do: "this user is not known here"

  def message(%__MODULE__{reason: :unsupported_scheme}),
    do: "the scheme of the Request-URI is not supported"

  def message(%__MODULE__{reason: :bad_extension, values: values}),
    do: "extensions that are not supported: #{Enum.join(values, ", ")}"

  def message(%__MODULE__{reason: :max_breadth_exceeded}),
    do: "the request may have no branch more"

  def message(%__MODULE__{reason: :unavailable}), do: "the user is not registered anywhere"
  def message(%__MODULE__{reason: :loop}), do: "the request was here before and has not changed"
  def message(%__MODULE__{reason: :too_many_hops}), do: "the request has no hop left"
  def message(%__MODULE__{reason: :no_via}), do: "the response is for this element"
end
