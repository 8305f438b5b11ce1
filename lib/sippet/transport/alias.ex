defmodule Sippet.Transport.Alias do
  # Connections that peers have made and that requests to them may take (RFC 5923): who is at the other end, and which port
  # of theirs a connection stands for. Called by the process of a connection.
  @moduledoc false

  alias Sippet.Message
  alias Sippet.Transport.{Credentials, Identity, Socket}

  # Of a certificate with more names the first ones.
  @max_names 16

  # Where sent-by has no port (§18.1.1 of RFC 3261).
  @default_port 5061

  @doc """
  The names of the peer that were verified: of whom a certificate was asked for, and whose chain ends at an authority that
  is trusted. Empty where there are none.
  """
  @spec names(Socket.t(), :accepted | :connected, :ets.tid()) :: [Identity.name()]
  def names({_port, nil}, _direction, _table), do: []

  # Who accepts a connection asks for no certificate, or verifies it.
  def names({_port, tls}, direction, table) do
    with true <- direction == :accepted or Credentials.verify?(table),
         {:ok, certificate} <- :ssl.peercert(tls) do
      certificate |> Identity.names() |> Enum.uniq() |> Enum.take(@max_names)
    else
      _none -> []
    end
  rescue
    # An authority may sign what nobody can read.
    _ -> []
  end

  @doc """
  The port that a message says its connection stands for: it is a request whose topmost Via has `alias`, and a sent-by that is
  one of the peer's names (RFC 5923 §8.2, §9.2). `:none` where it does not ask for that, `:refused` where it may not.
  """
  @spec claim(binary, [Identity.name()]) :: {:ok, :inet.port_number()} | :none | :refused
  def claim(<<"SIP/", _::binary>>, _names), do: :none

  def claim(request, names) do
    if request =~ ~r/;\s*alias/i, do: read(request, names), else: :none
  end

  defp read(request, names) do
    with {:ok, %{headers: %{via: [{_version, :tls, {host, _port}, %{"alias" => _}} | _]}}} <-
           Message.parse(request),
         [written | port] <- sent_by(request),
         name = Identity.normalize(host),
         true <- Identity.normalize(written) == name and name in names,
         {:ok, port} <- port(port) do
      {:ok, port}
    else
      _not_theirs -> :refused
    end
  end

  # Of the topmost Via, since the parser does not tell a port that was written from none.
  defp sent_by(request) do
    Regex.run(
      ~r/^(?:via|v)[ \t]*:\s*SIP\s*\/\s*2\.0\s*\/\s*TLS\s+(\[[^\]\s]+\]|[^\s;:,]+)(?:\s*:\s*([0-9]{1,5}))?\s*;/im,
      request,
      capture: :all_but_first
    )
  end

  defp port([]), do: {:ok, @default_port}

  defp port([digits]) do
    case String.to_integer(digits) do
      port when port in 1..65_535 -> {:ok, port}
      _other -> :error
    end
  end
end
