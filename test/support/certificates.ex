defmodule Sippet.Test.Certificates do
  # Certificates of an authority of the test's own.
  @moduledoc false

  require Record

  Record.defrecordp(
    :extension,
    :Extension,
    Record.extract(:Extension, from_lib: "public_key/include/public_key.hrl")
  )

  @doc """
  Chains for a server and a client, each `[cert: der, key: {type, der}, cacerts: [der]]`: `cacerts` are what verifies the
  other one.

  Options: `:server` and `:client` are names for the certificate, a list of `{:uri, text}`, `{:dns, text}`, `{:ip, bytes}`;
  nil for a certificate without alternative names. `:validity` is `{{year, month, day}, {year, month, day}}` of the server's.
  """
  def chains(options \\ []) do
    server = Keyword.get(options, :server, uri: "sip:example.com")
    client = Keyword.get(options, :client, uri: "sip:client.example")
    validity = Keyword.get(options, :validity)

    %{server_config: server, client_config: client} =
      :public_key.pkix_test_data(%{
        server_chain: chain(server, validity),
        client_chain: chain(client, nil)
      })

    %{server: server, client: client}
  end

  defp chain(names, validity) do
    peer =
      [key: {:namedCurve, :secp256r1}, digest: :sha256] ++
        if(names, do: [extensions: [names(names)]], else: []) ++
        if(validity, do: [validity: validity], else: [])

    %{
      root: [key: {:namedCurve, :secp256r1}, digest: :sha256],
      intermediates: [],
      peer: peer
    }
  end

  defp names(names) do
    extension(
      extnID: {2, 5, 29, 17},
      critical: false,
      extnValue:
        for {kind, value} <- names do
          case kind do
            :uri -> {:uniformResourceIdentifier, String.to_charlist(value)}
            :dns -> {:dNSName, String.to_charlist(value)}
            :ip -> {:iPAddress, value}
          end
        end
    )
  end

  @doc "Writes certificate and key as PEM files; returns `[certfile: path, keyfile: path]`."
  def write(config, directory, name) do
    {type, key} = config[:key]
    certfile = Path.join(directory, "#{name}.crt")
    keyfile = Path.join(directory, "#{name}.key")

    File.write!(
      certfile,
      :public_key.pem_encode([{:Certificate, config[:cert], :not_encrypted}])
    )

    File.write!(keyfile, :public_key.pem_encode([{type, key, :not_encrypted}]))
    [certfile: certfile, keyfile: keyfile]
  end
end
