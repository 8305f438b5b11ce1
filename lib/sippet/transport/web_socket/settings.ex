defmodule Sippet.Transport.WebSocket.Settings do
  # The options of the transports over WebSocket, and what is good for them.
  @moduledoc false

  alias Sippet.Transport.{Credentials, Listener, Options}

  @origins ":any, :same_host, a list of origins or a function of one argument"
  @http "a function of one argument or {module, function}"

  @doc "The schema; `port` is the default one."
  @spec options(:inet.port_number()) :: Options.schema()
  def options(port) do
    Listener.options(port) ++
      [
        {:paths, ["/"],
         {:as, "a list of paths, or a map of paths with origins", &__MODULE__.good_paths?/1},
         "where WebSockets are, a list, or a map that has the origins for each"},
        {:origins, :same_host, {:as, @origins, &__MODULE__.good_origins?/1},
         "whose pages may open one: `:any`, `:same_host`, a list, or a function that is given the origin, in lower case, and returns true"},
        {:http, nil, {:optional, {:as, @http, &__MODULE__.good_http?/1}},
         "what answers all other requests; see above"},
        {:client_path, "/", {:as, "a path", &__MODULE__.good_path?/1},
         "the path that is asked for at others, with its query"},
        {:ping_interval, 30_000, :patience,
         "how long a peer may be silent before it is asked whether it is there; milliseconds or `:infinity`"},
        {:handshake_timeout, 10_000, :milliseconds,
         "how long the handshake of a peer that connects may take, or another request of its"}
      ]
  end

  @doc false
  def good_paths?(paths) when is_list(paths), do: paths != [] and Enum.all?(paths, &good_path?/1)

  def good_paths?(paths) do
    is_map(paths) and paths != %{} and
      Enum.all?(paths, fn {path, origins} -> good_path?(path) and good_origins?(origins) end)
  end

  @doc false
  def good_path?(path), do: is_binary(path) and path =~ ~r"\A/[!-~]*\z"

  @doc false
  def good_origins?(origins) when is_list(origins), do: Enum.all?(origins, &is_binary/1)
  def good_origins?(origins), do: origins in [:any, :same_host] or is_function(origins, 1)

  @doc false
  def good_http?({module, function}), do: is_atom(module) and is_atom(function)
  def good_http?(fun), do: is_function(fun, 1)

  @doc "The same with those of TLS."
  @spec secure_options(:inet.port_number()) :: Options.schema()
  def secure_options(port), do: Enum.uniq_by(options(port) ++ Credentials.options(), &elem(&1, 0))
end
