defmodule Sippet.Message.RequestLine do
  @moduledoc """
  The first line of a request: `INVITE sip:bob@biloxi.com SIP/2.0` (RFC 3261 §7.1).

    * `:method` - an atom in lower case for a known method (`Sippet.Message.known_methods/0`), else a string as it
      stands on the wire
    * `:request_uri` - a `t:Sippet.URI.t/0`
    * `:version` - `{2, 0}`
  """

  alias Sippet.{URI, WriteError}

  defstruct method: nil, request_uri: nil, version: {2, 0}

  @type method :: atom | String.t()

  @type version :: {major :: non_neg_integer, minor :: non_neg_integer}

  @type t :: %__MODULE__{method: method, request_uri: URI.t(), version: version}

  @doc """
  Makes a request line of version 2.0.

  The method stays as it is: see `Sippet.Message.to_method/1` for a known method in a string. A URI in a string is
  parsed; one that is malformed raises `ArgumentError`.

      iex> line = Sippet.Message.RequestLine.new(:options, "sip:atlanta.com")
      iex> {line.method, line.request_uri.host, line.version}
      {:options, "atlanta.com", {2, 0}}
  """
  @spec new(method, URI.t() | String.t()) :: t
  def new(method, %URI{} = request_uri) when is_atom(method) or is_binary(method),
    do: %__MODULE__{method: method, request_uri: request_uri}

  def new(method, request_uri)
      when (is_atom(method) or is_binary(method)) and is_binary(request_uri),
      do: new(method, URI.parse!(request_uri))

  @doc """
  The line as text, without its line end.

      iex> line = Sippet.Message.RequestLine.new(:options, "sip:atlanta.com")
      iex> Sippet.Message.RequestLine.to_string(line)
      "OPTIONS sip:atlanta.com SIP/2.0"
  """
  @spec to_string(t) :: String.t()
  def to_string(%__MODULE__{} = line), do: line |> to_iodata() |> IO.iodata_to_binary()

  @doc """
  The line as iodata, without its line end.

  Raises `ArgumentError` where the method is no token, or the URI cannot be written.

      iex> line = Sippet.Message.RequestLine.new("Custom", "sip:atlanta.com")
      iex> Sippet.Message.RequestLine.to_iodata(line)
      ["Custom", " ", "sip:atlanta.com", " SIP/", "2", ".", "0"]
  """
  @spec to_iodata(t) :: iodata
  def to_iodata(%__MODULE__{method: method, request_uri: uri, version: {major, minor}}) do
    method = if is_atom(method), do: method |> Atom.to_string() |> String.upcase(), else: method
    check!(method)

    [
      method,
      " ",
      URI.to_string(uri),
      " SIP/",
      Integer.to_string(major),
      ".",
      Integer.to_string(minor)
    ]
  end

  # Anything but a token (§25.1) could make another line of this one.
  defp check!(method) do
    if not (method =~ ~r/\A[A-Za-z0-9.!%*_+`'~-]+\z/) do
      reason = if method =~ ~r/[\r\n\0]/, do: :control_character, else: :token
      raise ArgumentError, Exception.message(%WriteError{header: :start_line, reason: reason})
    end
  end
end

defimpl String.Chars, for: Sippet.Message.RequestLine do
  defdelegate to_string(line), to: Sippet.Message.RequestLine
end
