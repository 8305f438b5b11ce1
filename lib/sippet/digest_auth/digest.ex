defmodule Sippet.DigestAuth.Digest do
  # The arithmetic of RFC 7616 §3.4, for both sides. Hashes are hexadecimal digits. Called by the modules of
  # Sippet.DigestAuth only.
  @moduledoc false

  alias Sippet.DigestAuth.Algorithm
  alias Sippet.Message

  @doc """
  H(A1) of a user, without the session: of a password, or the one that is stored for this algorithm.
  """
  @spec ha1(Algorithm.t(), String.t(), String.t(), Sippet.DigestAuth.secret()) ::
          {:ok, String.t()} | :error
  def ha1(%Algorithm{base: base, digits: digits}, _username, _realm, {:ha1, stored}) do
    case stored do
      %{^base => ha1} when byte_size(ha1) == digits -> {:ok, String.downcase(ha1, :ascii)}
      _other -> :error
    end
  end

  def ha1(algorithm, username, realm, password) when is_binary(password),
    do: {:ok, Algorithm.hash(algorithm, [username, ?:, realm, ?:, nfc(password)])}

  @doc "H(A1) of a session for the algorithms that have one (RFC 7616 §3.4.2), else the same."
  @spec session(Algorithm.t(), String.t(), String.t(), String.t() | nil) :: String.t()
  def session(%Algorithm{session: true} = algorithm, ha1, nonce, cnonce),
    do: Algorithm.hash(algorithm, [ha1, ?:, nonce, ?:, cnonce || ""])

  def session(_algorithm, ha1, _nonce, _cnonce), do: ha1

  @doc "H(A2) (RFC 7616 §3.4.3); the method is empty for what a server proves (§3.5)."
  @spec ha2(Algorithm.t(), String.t(), String.t(), String.t() | nil, binary | nil) :: String.t()
  def ha2(algorithm, method, uri, "auth-int", body),
    do: Algorithm.hash(algorithm, [method, ?:, uri, ?:, Algorithm.hash(algorithm, body || "")])

  def ha2(algorithm, method, uri, _qop, _body), do: Algorithm.hash(algorithm, [method, ?:, uri])

  @doc """
  The value of `response` or `rspauth` (RFC 7616 §3.4.1).

  `parameters` has nonce, and nc, cnonce and qop, which are left out together where there is no qop, as RFC 2069 has it.
  """
  @spec response(Algorithm.t(), String.t(), map, String.t()) :: String.t()
  def response(algorithm, key, %{nonce: nonce, qop: nil}, ha2),
    do: Algorithm.hash(algorithm, [key, ?:, nonce, ?:, ha2])

  def response(algorithm, key, %{nonce: nonce, qop: qop, nc: nc, cnonce: cnonce}, ha2),
    do: Algorithm.hash(algorithm, Enum.intersperse([key, nonce, nc, cnonce, qop, ha2], ?:))

  @doc "The hash that stands for a user's name (RFC 7616 §3.4.4)."
  @spec userhash(Algorithm.t(), String.t(), String.t()) :: String.t()
  def userhash(algorithm, username, realm), do: Algorithm.hash(algorithm, [username, ?:, realm])

  @doc "The method as it is hashed. An ACK has the credentials of its INVITE (§22.1)."
  @spec method(Message.method()) :: String.t()
  def method(:ack), do: "INVITE"
  def method(method) when is_atom(method), do: method |> Atom.to_string() |> String.upcase()
  def method(method) when is_binary(method), do: method

  @doc "Text in the form in which it is hashed (RFC 7616 §4); bytes that are no UTF-8 stay."
  @spec nfc(String.t()) :: String.t()
  def nfc(text), do: if(String.valid?(text), do: String.normalize(text, :nfc), else: text)
end
