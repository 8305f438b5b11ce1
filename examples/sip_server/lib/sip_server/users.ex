defmodule SipServer.Users do
  @moduledoc """
  Names and secrets, from a file with a line for each user, `name:realm:HA1`, as `htdigest` of Apache writes them. With further
  algorithms in the configuration there is an HA1 more for each: `name:realm:MD5:SHA-256`.
  """

  alias Sippet.DigestAuth

  @algorithms ["MD5", "SHA-256", "SHA-512-256"]

  @doc "Reads the file; raises if a line is wrong. May be called again at any time."
  def load!(path) do
    users =
      for {line, number} <-
            path |> File.stream!() |> Stream.map(&String.trim/1) |> Enum.with_index(1),
          line != "" and not String.starts_with?(line, "#"),
          into: %{} do
        case String.split(line, ":") do
          [name, realm, _ha1 | _] = fields when name != "" and realm != "" ->
            {name, {realm, @algorithms |> Enum.zip(Enum.drop(fields, 2)) |> Map.new()}}

          _ ->
            raise ArgumentError, "#{path}:#{number}: expected name:realm:HA1"
        end
      end

    :persistent_term.put(__MODULE__, users)
  end

  @doc "A line of the file."
  def line(name, realm, password, algorithms \\ ["MD5"]) do
    Enum.join(
      [name, realm | Enum.map(algorithms, &DigestAuth.ha1(name, realm, password, &1))],
      ":"
    )
  end

  @doc "Some of the users."
  def some(count), do: __MODULE__ |> :persistent_term.get() |> Map.keys() |> Enum.take(count)

  @doc "Whether there is such a user."
  def exists?(name), do: is_map_key(:persistent_term.get(__MODULE__), name)

  @doc "What `Sippet.DigestAuth.Server` asks for."
  def credentials(name, realm) do
    case :persistent_term.get(__MODULE__) do
      %{^name => {^realm, secrets}} -> {:ok, {:ha1, secrets}}
      _ -> :error
    end
  end
end
